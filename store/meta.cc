#include "store/meta.h"

namespace perch::store {

Result<uint64_t> get_meta(Kv& kv, Table table, MetaKey meta_key) {
  const std::array<uint8_t, 1> key{static_cast<uint8_t>(meta_key)};
  auto value = kv.get(table, key);
  if (!value) return value.error();
  return unpack_number(key, *value);
}

Result<void> put_meta(Kv& kv, Table table, MetaKey meta_key, uint64_t number) {
  const std::array<uint8_t, 1> key{static_cast<uint8_t>(meta_key)};
  Value value;
  pack_number(key, number, value);
  return kv.put(table, key, value.bytes());
}

Result<uint64_t> get_meta_or(Kv& kv, Table table, MetaKey key, uint64_t absent) {
  auto value = get_meta(kv, table, key);
  if (!value && value.error().code == Errc::kNotFound) return absent;
  return value;
}

}  // namespace perch::store
