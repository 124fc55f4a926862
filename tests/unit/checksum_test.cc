#include "store/checksum.h"

#include "store_fixture.h"

namespace perch::store {
namespace {

TEST(Checksum, MatchesThePublishedVector) {
  EXPECT_EQ(crc32c(0, bytes_of("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c(crc32c(0, bytes_of("1234")), bytes_of("56789")), 0xe3069283u);
}

}  // namespace
}  // namespace perch::store
