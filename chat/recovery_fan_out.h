// RecoveryFanOut: hands what waited to the core of its user, once all cores are there.
//
// ON: the thread that recovers the store, before any core's first turn.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "chat/core.h"

namespace perch::chat {

class RecoveryFanOut final : public store::RecoveryVisitor {
 public:
  explicit RecoveryFanOut(
      const std::vector<std::unique_ptr<Core>>& cores, std::function<bool()> stopped = [] { return false; })
      : cores_(cores), stopped_(std::move(stopped)) {}
  uint64_t num_items() const { return num_items_; }
  void item(const store::RecoveredItem& found) override {
    ++num_items_;
    at(found.waiting.user).item(found);
  }
  void mark(const store::RecoveredMark& found) override { at(found.id.user).mark(found); }
  void receipt(const store::RecoveredReceipt& found) override { at(found.key.user).receipt(found); }
  void expired(const store::RecoveredExpired& found) override { at(found.id.user).expired(found); }
  bool stopped() override { return stopped_(); }

 private:
  Core& at(UserId user) { return *cores_[home_of(user, static_cast<uint16_t>(cores_.size()))]; }
  const std::vector<std::unique_ptr<Core>>& cores_;
  std::function<bool()> stopped_;
  uint64_t num_items_ = 0;
};

}  // namespace perch::chat
