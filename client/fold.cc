#include "client/fold.h"

#include <algorithm>
#include <map>

namespace perch::client {

void fold(HistoryLine& line, const std::vector<Remark>& remarks) {
  const Remark* edit = nullptr;
  std::map<UserId, const Remark*> reactions;  // the last of each
  const auto take = [](const Remark*& last, const Remark& next) {
    if (last == nullptr || last->place < next.place) last = &next;
  };
  for (const Remark& remark : remarks) {
    if (remark.kind == ItemKind::kReaction) {
      take(reactions[remark.by], remark);
    } else if (remark.by == line.id.user && line.shown == Shown::kText) {
      take(edit, remark);
    }
  }
  if (edit != nullptr) {
    line.text = edit->text;
    line.edited = true;
  }
  std::vector<const Remark*> shown;
  for (const auto& [user, last] : reactions) {
    if (!last->text.empty()) shown.push_back(last);
  }
  std::ranges::stable_sort(shown, {}, [](const Remark* remark) { return remark->place; });
  line.reactions.clear();
  for (const Remark* remark : shown) line.reactions.push_back({remark->by, remark->text});
}

}  // namespace perch::client
