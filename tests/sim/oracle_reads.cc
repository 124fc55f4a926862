// What is promised for read marks. A mark has no body by which it could be known, and a device tells nobody
// that it came: what it did to the messages it covers is looked at.
#include <algorithm>

#include "oracle.h"

namespace perch::sim {

using client::Mark;

void Oracle::marked_read(size_t device) {
  const OracleDevice& reader = devices_[device];
  for (const auto& [id, row] : reader.store->rows()) {
    if (row.status.kind != client::RowKind::kRead || read_by_row_.contains({device, id})) continue;
    SentRead read;
    compose(device, row.status.to, id, read);
    read.mark = row.composed.read;
    read.id = {reader.user, reader.number, row.status.origin, read.seq};
    read_by_row_[{device, id}] = reads_.size();
    reads_.push_back(std::move(read));
  }
}

void Oracle::read_changed(SentRead& read, const client::RowStatus& row) {
  if (row.open) return;
  if (row.mark == Mark::kExpired && !may_have_expired(read))
    fail("H36 expired before its time: " + describe(read));
  const bool first = !read.accepted;
  read.accepted = row.mark == Mark::kAccepted || row.mark == Mark::kDelivered;
  if (!read.accepted || !first) return;
  for (const size_t device : read.owed) {
    if (!knows_read(read, device) && !on_disk(read.id, device) && !may_miss_read(read, device))
      fail("S1 accepted, but neither known to " + name(device) +
           " nor in a flushed record for it: " + describe(read));
  }
}

// A message that was taken again, after a stop or from a restored sender, may reach a device after the mark
// that covers it.
bool Oracle::knows_read(const SentRead& read, size_t device) const {
  const OracleDevice& at = devices_[device];
  return std::ranges::all_of(messages_, [&](const Sent& sent) {
    const OracleDevice& sender = devices_[sent.device];
    if (sender.user != read.to || sender.number != read.mark.device || sent.seq > read.mark.up_to)
      return true;
    if (sent.gone || status(sent).origin != read.mark.origin || sent.to != devices_[read.device].user)
      return true;
    if (sent.device == device) return status(sent).read;
    if (!sent.has.contains(device) || may_be_taken_again(sent) || sent.rewound) return true;
    const auto& known = at.store->inbox().at(id_of(sent));
    return at.user == read.to ? known.message.mark == Mark::kRead : known.read;
  });
}

// Of what a backup of the server lacks, a later mark of the same key may be all that the reader sends again.
bool Oracle::may_miss_read(const SentRead& read, size_t device) const {
  return may_be_kept_from(read, device) || devices_[device].restored > read.at ||
         server_restored_ > read.at || may_be_in_gap(read, device);
}

std::string Oracle::describe(const SentRead& read) const {
  return "read mark of " + name(read.device) + " seq " + std::to_string(read.seq) + " for " +
         std::to_string(read.to) + ", device " + std::to_string(read.mark.device) + ", up to " +
         std::to_string(read.mark.up_to);
}

std::optional<std::string> Oracle::first_missing_read() const {
  for (const SentRead& read : reads_) {
    if (!read.accepted) continue;
    for (const size_t device : read.owed)
      if (!knows_read(read, device) && !may_miss_read(read, device))
        return "S3 not known to " + name(device) + ": " + describe(read);
  }
  return std::nullopt;
}

}  // namespace perch::sim
