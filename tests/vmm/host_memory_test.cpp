// Host memory: bytes by host-physical address, and what is known about pages.
#include "vmm/host_memory.h"

#include <gmock/gmock.h>

#include <vector>

namespace retrap {
namespace {

using namespace retrap::literals;
using ::testing::ElementsAre;

class Listener final : public CodeListener {
 public:
  void code_page_written(HostPhys page) override { pages.push_back(page); }
  std::vector<HostPhys> pages;
};

class AHostOfFourPages : public ::testing::Test {
 public:
  std::vector<std::byte> bytes_ = std::vector<std::byte>(4 * kPageSize);
  HostMemory memory_{0x8000'0000_hpa, bytes_};
};

TEST_F(AHostOfFourPages, KnowsItsEnds) {
  EXPECT_TRUE(memory_.contains(0x8000'0000_hpa, 4 * kPageSize));
  EXPECT_TRUE(memory_.contains(0x8000'3fff_hpa));
  EXPECT_FALSE(memory_.contains(0x8000'3fff_hpa, 2));
  EXPECT_FALSE(memory_.contains(0x7fff'ffff_hpa));
  EXPECT_FALSE(memory_.contains(0x8000'0000_hpa, ~std::uint64_t{0}));
}

TEST_F(AHostOfFourPages, KeepsWordsLittleEndian) {
  memory_.store64(0x8000'0008_hpa, 0x0102'0304'0506'0708);

  EXPECT_EQ(bytes_[8], std::byte{8});
  EXPECT_EQ(bytes_[15], std::byte{1});
  EXPECT_EQ(memory_.load64(0x8000'0008_hpa), 0x0102'0304'0506'0708u);
}

TEST_F(AHostOfFourPages, MarksEveryPageThatAWriteTouches) {
  (void)memory_.write(0x8000'0fff_hpa, 2);

  EXPECT_THAT(memory_.page_flags(), ElementsAre(1, 1, 0, 0));
}

TEST_F(AHostOfFourPages, MarksNothingForReading) {
  (void)memory_.read(0x8000'0000_hpa, 4 * kPageSize);

  EXPECT_THAT(memory_.page_flags(), ElementsAre(0, 0, 0, 0));
}

TEST_F(AHostOfFourPages, TellsListenersOfWrittenCode) {
  Listener listener;
  memory_.add_listener(&listener);
  memory_.flags(0x8000'1000_hpa) |= HostMemory::kCode;

  (void)memory_.write(0x8000'0000_hpa, 3 * kPageSize);

  EXPECT_THAT(listener.pages, ElementsAre(0x8000'1000_hpa));
}

TEST_F(AHostOfFourPages, TellsAllListenersButOne) {
  Listener writer;
  Listener other;
  memory_.add_listener(&writer);
  memory_.add_listener(&other);

  memory_.tell_code_written(0x8000'2000_hpa, &writer);
  memory_.remove_listener(&other);
  memory_.tell_code_written(0x8000'3000_hpa, nullptr);

  EXPECT_THAT(writer.pages, ElementsAre(0x8000'3000_hpa));
  EXPECT_THAT(other.pages, ElementsAre(0x8000'2000_hpa));
}

TEST_F(AHostOfFourPages, ZeroesOnlyWhatWasWritten) {
  Listener listener;
  memory_.add_listener(&listener);
  memory_.store64(0x8000'1000_hpa, 7);
  memory_.flags(0x8000'1000_hpa) |= HostMemory::kCode;
  memory_.flags(0x8000'2000_hpa) |= HostMemory::kCode;

  memory_.zero(0x8000'0000_hpa, 4 * kPageSize);

  EXPECT_EQ(memory_.load64(0x8000'1000_hpa), 0u);
  EXPECT_EQ(memory_.flags(0x8000'1000_hpa) & HostMemory::kWritten, 0);
  EXPECT_THAT(listener.pages, ElementsAre(0x8000'1000_hpa));
}

}  // namespace
}  // namespace retrap
