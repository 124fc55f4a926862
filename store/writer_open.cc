// Writer: opening a store, making one where there is none, and what a restored backup needs.
#include <algorithm>

#include "store/meta.h"
#include "store/writer.h"

namespace perch::store {
namespace {

constexpr uint64_t kCeilingStep = 1ull << 32;
constexpr uint64_t kRestoreStep = 1ull << 45;

uint64_t draw_nonzero(Random& random) {
  for (;;)
    if (uint64_t value = random.next()) return value;
}

Result<void> check_format(uint64_t format) {
  if (format == kFormatVersion) return {};
  return Error{format > kFormatVersion ? Errc::kNewerFormat : Errc::kUnsupported,
               static_cast<int64_t>(format)};
}

}  // namespace

Result<std::unique_ptr<Writer>> Writer::open(Kv& journal, Kv& tables, const Limits& limits, Random& random) {
  std::unique_ptr<Writer> writer(new Writer(journal, tables, limits, random));
  if (auto opened = writer->open_metas(); !opened) return opened.error();
  return writer;
}

Result<void> Writer::open_metas() {
  uint64_t pair = 0;
  // The tables are only looked at before the journal is written: what is refused for them must not cost a
  // ceiling.
  bool tables_are_new = false;
  auto snapshot = tables_.snapshot();
  const std::array<uint8_t, 1> format_key{static_cast<uint8_t>(MetaKey::kFormat)};
  if (auto value = snapshot->get(kTablesMetaTable, format_key); value) {
    auto format = unpack_number(format_key, *value);
    if (!format) return format.error();
    if (auto known = check_format(*format); !known) return known;
  } else if (value.error().code == Errc::kNotFound) {
    tables_are_new = true;
  } else {
    return value.error();
  }
  snapshot->release();

  auto journal_done = transact(journal_, [&]() -> Result<void> {
    auto format = get_meta(journal_, kJournalMetaTable, MetaKey::kFormat);
    if (!format && format.error().code != Errc::kNotFound) return format.error();
    if (!format) {
      incarnation_ = draw_nonzero(random_);
      if (auto r = put_meta(journal_, kJournalMetaTable, MetaKey::kFormat, kFormatVersion); !r) return r;
      if (auto r = put_meta(journal_, kJournalMetaTable, MetaKey::kPair, draw_nonzero(random_)); !r) return r;
      if (auto r = put_meta(journal_, kJournalMetaTable, MetaKey::kIncarnation, incarnation_); !r) return r;
      if (auto r = put_meta(journal_, kJournalMetaTable, MetaKey::kCeiling, 0); !r) return r;
    } else if (auto known = check_format(*format); !known) {
      return known;
    }
    auto ceiling = get_meta(journal_, kJournalMetaTable, MetaKey::kCeiling);
    if (!ceiling) return ceiling.error();
    auto incarnation = get_meta(journal_, kJournalMetaTable, MetaKey::kIncarnation);
    if (!incarnation) return incarnation.error();
    auto stored_pair = get_meta(journal_, kJournalMetaTable, MetaKey::kPair);
    if (!stored_pair) return stored_pair.error();
    auto moved_below = get_meta_or(journal_, kJournalMetaTable, MetaKey::kMovedBelow, 0);
    if (!moved_below) return moved_below.error();
    // Tables are made by the first start, long before anything moves.
    if (tables_are_new && *moved_below > 0) return Error{Errc::kCorrupt, kTablesMissing};
    auto next_pos = get_meta_or(journal_, kJournalMetaTable, MetaKey::kNextPos, 1);
    if (!next_pos) return next_pos.error();
    auto served = get_meta_or(journal_, kJournalMetaTable, MetaKey::kServed, 0);
    if (!served) return served.error();
    pair = *stored_pair;
    served_ms_ = served_stored_ms_ = *served;
    incarnation_ = *incarnation;
    moved_below_ = copied_below_ = *moved_below;
    base_ = *ceiling;
    ceiling_ = base_ + kCeilingStep;
    // Above the ceiling too: a restored backup knows neither the last key nor the last kNextPos.
    next_pos_ = std::max(*next_pos, base_ + 1);
    return put_meta(journal_, kJournalMetaTable, MetaKey::kCeiling, ceiling_);
  });
  if (!journal_done) return journal_done;

  return transact(tables_, [&]() -> Result<void> {
    auto format = get_meta(tables_, kTablesMetaTable, MetaKey::kFormat);
    if (!format && format.error().code != Errc::kNotFound) return format.error();
    if (!format) {
      if (auto r = put_meta(tables_, kTablesMetaTable, MetaKey::kFormat, kFormatVersion); !r) return r;
      return put_meta(tables_, kTablesMetaTable, MetaKey::kPair, pair);
    }
    auto stored_pair = get_meta(tables_, kTablesMetaTable, MetaKey::kPair);
    if (!stored_pair) return stored_pair.error();
    if (*stored_pair != pair) return Error{Errc::kCorrupt};
    return {};
  });
}

Result<uint64_t> Writer::stored_ceiling(Kv& journal) {
  if (auto begun = journal.begin(); !begun) return begun.error();
  auto ceiling = get_meta(journal, kJournalMetaTable, MetaKey::kCeiling);
  journal.abort();
  return ceiling;
}

Result<void> Writer::mark_restored(Kv& journal, uint64_t last_used, Random& random) {
  return transact(journal, [&]() -> Result<void> {
    auto format = get_meta(journal, kJournalMetaTable, MetaKey::kFormat);
    if (!format) return format.error();
    if (auto known = check_format(*format); !known) return known;  // what is refused stays as it is
    auto ceiling = get_meta(journal, kJournalMetaTable, MetaKey::kCeiling);
    if (!ceiling) return ceiling.error();
    const uint64_t raised = std::max(*ceiling, last_used) + kRestoreStep;
    if (auto r = put_meta(journal, kJournalMetaTable, MetaKey::kCeiling, raised); !r) return r;
    return put_meta(journal, kJournalMetaTable, MetaKey::kIncarnation, draw_nonzero(random));
  });
}

}  // namespace perch::store
