// The page that retrap report writes, in a real browser: it renders, zooms, filters, and shows
// where a run diverged.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sim/record.h"
#include "tests/replay/guest_machine.h"
#include "tests/support/process.h"
#include "traces/compare.h"
#include "traces/page.h"

namespace retrap {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// Does what a reader does, and leaves what is seen in an element of its own.
constexpr std::string_view kReader = R"html(
<script>
const seen={},range=()=>$("range").textContent;
const count=()=>+range().match(/: (\d+) exits shown of \d+/)[1];
const pixels=()=>ctx.getImageData(0,0,canvas.width,canvas.height).data;
const look=()=>{const p=pixels();let drawn=0,red=0,blue=0,green=0;
 for(let i=0;i<p.length;i+=4){if(p[i+3])drawn++;if(p[i]==204&&!p[i+1]&&!p[i+2])red++;
  if(!p[i]&&p[i+1]==102&&p[i+2]==204)blue++;if(!p[i]&&p[i+1]==153&&p[i+2]==51)green++}
 return{drawn,red,blue,green,count:count(),range:range()}};
seen.whole=look();seen.exits=N;seen.kinds=$("kinds").rows.length-1;
canvas.dispatchEvent(new WheelEvent("wheel",{deltaY:-1,cancelable:true}));
for(let i=0;i<4;i++)canvas.dispatchEvent(new WheelEvent("wheel",{deltaY:-1,cancelable:true}));
seen.zoomed=look();
canvas.dispatchEvent(new MouseEvent("dblclick"));seen.again=look();
const most=$("kinds").rows[1],name=most.cells[1].textContent.trim();
seen.most=+most.cells[0].textContent;
seen.like=[...kind].filter(k=>KIND_NAMES[k].includes(name)).length;
$("filter").value=name;$("filter").dispatchEvent(new Event("input"));seen.filtered=look();
$("filter").value="no such thing";$("filter").dispatchEvent(new Event("input"));seen.none=look();
$("filter").value="";$("filter").dispatchEvent(new Event("input"));
$("kinds").rows[1].cells[0].dispatchEvent(new MouseEvent("click",{bubbles:true}));
seen.hidden=look();
seen.inputs=document.querySelectorAll("#marks tr.input").length;
seen.digests=document.querySelectorAll("#marks tr.digest").length;
seen.marks=$("marks").textContent;
seen.divergence=$("divergence")?$("divergence").textContent:"";
const out=document.createElement("pre");out.id="seen";out.textContent="SEEN"+JSON.stringify(seen)
 +"DONE";document.body.append(out);
</script>
)html";

/// The path of a browser, or nothing.
std::string browser() {
  const auto found = test::run_program(
      "/bin/sh", {"-c", "command -v chromium chromium-browser google-chrome chrome | head -1"},
      test::TemporaryFolder().path());
  return found.out.substr(0, found.out.find('\n'));
}

/// What kReader has seen of the page.
json seen_in_a_browser(const std::string& page) {
  const test::TemporaryFolder folder;
  folder.write("page.html", page + std::string(kReader));
  const auto shown = test::run_program(
      "/usr/bin/env",
      {"HOME=" + folder.path().string(), browser(), "--headless", "--no-sandbox", "--disable-gpu",
       "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1200,900",
       "--dump-dom", "file://" + (folder.path() / "page.html").string()},
      folder.path());
  const auto begin = shown.out.find("\">SEEN{");
  const auto end = shown.out.find("}DONE<");
  if (begin == std::string::npos || end == std::string::npos) {
    ADD_FAILURE() << "the page's script did not come to its end\n" << shown.err;
    return {};
  }
  std::string text = shown.out.substr(begin + 6, end - begin - 5);
  for (auto at = text.find("&gt;"); at != std::string::npos; at = text.find("&gt;")) {
    text.replace(at, 4, ">");
  }
  return json::parse(text);
}

/// The trace with its answer number `which` changed by a bit.
traces::Reader with_another_answer(const traces::Reader& trace, std::size_t which) {
  traces::ByteVector bytes;
  auto writer =
      traces::Writer::create(std::make_unique<traces::MemorySink>(bytes), trace.header()).value();
  traces::EventCursor cursor(trace);
  std::size_t answers = 0;
  for (traces::Event event; cursor.next(event).value();) {
    auto* const answer = std::get_if<traces::AnswerRecord>(&event);
    if (answer != nullptr && ++answers == which) answer->value ^= 1;
    std::visit([&](const auto& record) { writer.add(record); }, event);
  }
  EXPECT_THAT(writer.finish(*trace.end()), test::Succeeds());
  return traces::Reader::parse("changed", bytes).value();
}

/// The events of a trace with an input and a digest in their midst.
traces::Reader with_marks(const traces::Reader& trace) {
  traces::ByteVector bytes;
  auto writer =
      traces::Writer::create(std::make_unique<traces::MemorySink>(bytes), trace.header()).value();
  traces::EventCursor cursor(trace);
  std::size_t events = 0;
  for (traces::Event event; cursor.next(event).value();) {
    std::visit([&](const auto& record) { writer.add(record); }, event);
    const auto* const exit = std::get_if<traces::ExitRecord>(&event);
    if (++events < 20 || exit == nullptr || writer.inputs() != 0) continue;
    writer.add(traces::InputRecord{exit->retired, traces::InputRecord::When::Stopped, exit->vm,
                                   traces::ConsoleInput{"<b>&\"</script>"}});
    writer.add(traces::DigestRecord{exit->retired, 0xabc, {}});
  }
  EXPECT_THAT(writer.finish(*trace.end()), test::Succeeds());
  return traces::Reader::parse("marked", bytes).value();
}

class Page : public ::testing::TestWithParam<ArchId> {
 public:
  void SetUp() override {
    if (browser().empty()) GTEST_SKIP() << "there is no Chromium here; ./dev setup installs it";
  }
};

INSTANTIATE_TEST_SUITE_P(All, Page, ::testing::ValuesIn(kAllArchs),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST_P(Page, RendersZoomsAndFilters) {
  const traces::Reader trace = test::record(GetParam(), "timer");
  const json seen = seen_in_a_browser(traces::make_page(trace, std::nullopt).value());
  ASSERT_TRUE(seen.is_object());

  EXPECT_EQ(seen["exits"], trace.end()->exits);
  EXPECT_EQ(seen["whole"]["count"], trace.end()->exits);
  EXPECT_GT(seen["whole"]["drawn"], 100);
  EXPECT_GT(seen["kinds"], 2);
  EXPECT_LT(seen["zoomed"]["count"], seen["whole"]["count"]);
  EXPECT_NE(seen["zoomed"]["range"], seen["whole"]["range"]);
  EXPECT_EQ(seen["again"]["range"], seen["whole"]["range"]);
  EXPECT_EQ(seen["filtered"]["count"], seen["like"]);
  EXPECT_LT(seen["filtered"]["count"], seen["whole"]["count"]);
  EXPECT_EQ(seen["none"]["count"], 0);
  EXPECT_EQ(seen["hidden"]["count"], seen["whole"]["count"].get<int>() - seen["most"].get<int>());
  EXPECT_EQ(seen["whole"]["red"], 0);
  EXPECT_EQ(seen["divergence"], "");
}

TEST_P(Page, MarksInputsAndDigests) {
  const traces::Reader trace = with_marks(test::record(GetParam(), "timer"));
  const json seen = seen_in_a_browser(traces::make_page(trace, std::nullopt).value());
  ASSERT_TRUE(seen.is_object());

  EXPECT_EQ(seen["inputs"], 1);
  EXPECT_EQ(seen["digests"], 1);
  EXPECT_THAT(seen["marks"].get<std::string>(), HasSubstr("console"));
  EXPECT_THAT(seen["marks"].get<std::string>(), HasSubstr("root 0000000000000abc"));
  EXPECT_GT(seen["whole"]["blue"], 0);
  EXPECT_GT(seen["whole"]["green"], 0);
  EXPECT_THAT(seen["whole"]["range"].get<std::string>(), HasSubstr("2 inputs and digests of 2"));
}

TEST_P(Page, ShowsWhereARunDiverged) {
  const traces::Reader trace = test::record(GetParam(), "timer");
  const auto comparison = traces::compare(trace, with_another_answer(trace, 3)).value();
  ASSERT_TRUE(comparison.divergence);
  traces::Divergence with_code = *comparison.divergence;
  with_code.code = {"> 0x1234  ldr w9, [x8]"};
  const json seen = seen_in_a_browser(traces::make_page(trace, with_code).value());
  ASSERT_TRUE(seen.is_object());

  EXPECT_GT(seen["whole"]["red"], 300) << "a line from top to bottom";
  EXPECT_THAT(seen["divergence"].get<std::string>(),
              HasSubstr(fmt::format("first difference at exit {}", comparison.divergence->exit)));
  EXPECT_THAT(seen["divergence"].get<std::string>(), HasSubstr("answer"));
  EXPECT_THAT(seen["divergence"].get<std::string>(), HasSubstr("> 0x1234  ldr w9, [x8]"));
}

}  // namespace
}  // namespace retrap
