#include "bench/ledger.h"

#include <cstring>
#include <utility>

#include "core/check.h"
#include "core/clock.h"

namespace perch::bench {
namespace {

struct Head {
  uint64_t run;
  uint64_t intended_ns;
  uint32_t sender;
  uint32_t seq;
};
static_assert(sizeof(Head) == kBodyBytesMin);

}  // namespace

Ledger::Ledger(uint64_t run, std::vector<uint32_t> partner)
    : run_(run), partner_(std::move(partner)), senders_(partner_.size()) {}

void Ledger::set_window(uint64_t begin_ns, uint64_t end_ns) {
  begin_ns_ = begin_ns;
  end_ns_ = end_ns;
}

void Ledger::compose(uint32_t sender, uint64_t intended_ns, MutableBytes body) {
  PERCH_CHECK(body.size() >= kBodyBytesMin);
  const Head head{run_, intended_ns, sender, senders_[sender].next_seq++};
  std::memcpy(body.data(), &head, sizeof(head));
  senders_[sender].seen.push_back(false);
  ++num_sent_;
  if (!in_window(intended_ns)) return;
  const uint64_t now = system_clock().mono_ns();
  lag_ns_.record(now > intended_ns ? now - intended_ns : 0);
}

std::optional<uint32_t> Ledger::arrived(uint32_t recipient, Bytes body, uint64_t now_ns) {
  Head head{};
  if (body.size() >= sizeof(head)) std::memcpy(&head, body.data(), sizeof(head));
  if (body.size() < sizeof(head) || head.run != run_ || head.sender >= senders_.size() ||
      head.seq >= senders_[head.sender].next_seq) {
    ++num_foreign_;
    return std::nullopt;
  }
  if (partner_[head.sender] != recipient) {
    ++num_astray_;
    return std::nullopt;
  }
  Sender& sender = senders_[head.sender];
  if (sender.seen[head.seq]) {
    ++num_duplicated_;
    return std::nullopt;
  }
  sender.seen[head.seq] = true;
  if (head.seq + 1 < sender.highest) ++num_reordered_;
  if (head.seq + 1 > sender.highest) sender.highest = head.seq + 1;
  ++num_delivered_;
  if (in_window(now_ns)) ++num_delivered_in_window_;
  if (in_window(head.intended_ns))
    latency_ns_.record(now_ns > head.intended_ns ? now_ns - head.intended_ns : 0);
  return head.sender;
}

}  // namespace perch::bench
