#include "net/operation.h"

#include <gtest/gtest.h>

namespace perch::net {
namespace {

TEST(Operation, RoundTripOfEveryKind) {
  for (const OperationKind kind : {OperationKind::kAccept, OperationKind::kPoll, OperationKind::kReceive,
                                   OperationKind::kSend, OperationKind::kClose, OperationKind::kMove}) {
    for (const uint32_t generation : {0u, 1u, 0xabcdefu, kGenerationMask}) {
      for (const uint32_t index : {0u, 1u, 0x12345678u, kNobody}) {
        const uint64_t word = Operation{kind, generation, index}.user_data();
        const Operation back = Operation::from(word);
        EXPECT_EQ(back.kind, kind);
        EXPECT_EQ(back.generation, generation);
        EXPECT_EQ(back.index, index);
        EXPECT_LT(word, Ring::kReservedUserData) << "the ring's own begin there";
      }
    }
  }
}

TEST(Operation, AGenerationThatIsTooLargeLeavesTheKindAlone) {
  const Operation back = Operation::from(Operation{OperationKind::kPoll, UINT32_MAX, 7}.user_data());
  EXPECT_EQ(back.kind, OperationKind::kPoll);
  EXPECT_EQ(back.generation, kGenerationMask);
  EXPECT_EQ(back.index, 7u);
}

}  // namespace
}  // namespace perch::net
