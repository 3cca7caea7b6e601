// Device trees: what FdtBuilder writes is what libfdt reads.
#include "vmm/fdt.h"

#include <gtest/gtest.h>
#include <libfdt.h>

#include <string>

#include "tests/support/matchers.h"

namespace retrap {
namespace {

using test::FailsWith;
using test::Succeeds;

std::vector<std::byte> small_tree() {
  FdtBuilder fdt;
  fdt.reserve(0x1000, 0x2000).begin("").cells("#address-cells", {2}).string("model", "retrap");
  fdt.begin("memory@80000000").reg({0x8000'0000, 0x1'0000'0000}).end();
  fdt.begin("chosen").strings("compatible", {"a", "bc"}).u64("seed", 0x0123'4567'89ab'cdef);
  fdt.empty("flag").end().end();
  return fdt.finish();
}

TEST(FdtBuilder, WritesATreeThatLibfdtAccepts) {
  const auto blob = small_tree();

  EXPECT_THAT(check_fdt(blob), Succeeds());
  EXPECT_EQ(fdt_totalsize(blob.data()), blob.size());
}

TEST(FdtBuilder, WritesRegAsTwoCellsEach) {
  const auto blob = small_tree();

  const int node = fdt_path_offset(blob.data(), "/memory@80000000");
  int length = 0;
  const auto* reg = static_cast<const fdt64_t*>(fdt_getprop(blob.data(), node, "reg", &length));
  ASSERT_EQ(length, 16);
  EXPECT_EQ(fdt64_ld(&reg[0]), 0x8000'0000u);
  EXPECT_EQ(fdt64_ld(&reg[1]), 0x1'0000'0000u);
}

TEST(FdtBuilder, WritesStringListsWithTheirTerminators) {
  const auto blob = small_tree();

  const int node = fdt_path_offset(blob.data(), "/chosen");
  int length = 0;
  const auto* value =
      static_cast<const char*>(fdt_getprop(blob.data(), node, "compatible", &length));
  EXPECT_EQ(std::string(value, static_cast<std::size_t>(length)), std::string("a\0bc\0", 5));
}

TEST(FdtBuilder, KeepsItsReservations) {
  const auto blob = small_tree();

  std::uint64_t base = 0;
  std::uint64_t size = 0;
  ASSERT_EQ(fdt_num_mem_rsv(blob.data()), 1);
  ASSERT_EQ(fdt_get_mem_rsv(blob.data(), 0, &base, &size), 0);
  EXPECT_EQ(base, 0x1000u);
  EXPECT_EQ(size, 0x2000u);
}

TEST(FdtBuilder, GrowsAsFarAsTheTreeNeeds) {
  FdtBuilder fdt;
  fdt.begin("");
  const std::string argument(100'000, 'x');
  fdt.begin("chosen").string("bootargs", argument).end();
  for (int i = 0; i < 500; ++i) {
    fdt.begin("cpu@" + std::to_string(i)).cells("property-" + std::to_string(i), {1, 2}).end();
  }
  const auto blob = fdt.end().finish();

  ASSERT_THAT(check_fdt(blob), Succeeds());
  const int node = fdt_path_offset(blob.data(), "/chosen");
  EXPECT_EQ(argument,
            static_cast<const char*>(fdt_getprop(blob.data(), node, "bootargs", nullptr)));
  EXPECT_GE(fdt_path_offset(blob.data(), "/cpu@499"), 0);
}

TEST(FdtCheck, RefusesEveryPrefixOfATree) {
  const auto blob = small_tree();

  for (std::size_t size = 0; size < blob.size(); ++size) {
    EXPECT_THAT(check_fdt(std::span(blob).first(size)), FailsWith(ErrorCode::InvalidInput)) << size;
  }
}

TEST(FdtCheck, SurvivesEveryFlippedBit) {
  const auto blob = small_tree();

  for (std::size_t bit = 0; bit < blob.size() * 8; ++bit) {
    auto damaged = blob;
    damaged[bit / 8] ^= std::byte(1u << (bit % 8));
    (void)check_fdt(damaged);
  }
}

}  // namespace
}  // namespace retrap
