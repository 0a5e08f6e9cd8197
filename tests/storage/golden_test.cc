// The golden data directory of format v1 opens and shows what it showed when it was made. It must do so for ever.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "storage/posix_disk.h"
#include "tests/golden/golden.h"
#include "tests/sim/temp_dir.h"
#include "tests/storage/source_dir.h"

namespace weir {
namespace {

const std::string golden_v1 = WEIR_SOURCE_DIR "/tests/golden/v1";

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

struct opened_golden {
  posix_disk where;
  inline_lane lane;
  manual_clock clock;
  golden::client client;
  std::unique_ptr<store> it;

  explicit opened_golden(const std::string& directory) : where(directory) {
    auto opened = store::open(where, lane, lane, clock, "shard", golden::config(), client);
    REQUIRE(opened);
    it = std::move(*opened);
  }
  std::string shown() { return golden::dump(*it, client); }
};

struct golden_copy {
  temp_dir dir;
  std::string path = dir.path() + "/v1";
  std::string expected = text_of(golden_v1 + "/expected.txt");
  golden_copy() {
    REQUIRE_FALSE(expected.empty());
    std::filesystem::copy(golden_v1, path, std::filesystem::copy_options::recursive);
  }
};

TEST_CASE("golden: the directory of format v1 shows every message, and again after it was written to") {
  golden_copy copy;
  {
    opened_golden opened(copy.path);
    CHECK(opened.it->report().notes.empty());
    CHECK(opened.it->report().quarantined.empty());
    CHECK(opened.it->report().damaged_records == 0);
    CHECK(opened.shown() == copy.expected);
    REQUIRE(golden::run(opened.it->close()));
  }
  opened_golden again(copy.path);
  CHECK(again.shown() == copy.expected);
}

TEST_CASE("golden: the directory of format v1 without its newest snapshot shows the same") {
  golden_copy copy;
  std::vector<std::string> snapshots;
  for (const auto& each : std::filesystem::directory_iterator(copy.path + "/shard")) {
    std::string name = each.path().filename().string();
    if (name.starts_with("snapshot-")) snapshots.push_back(each.path().string());
  }
  REQUIRE(snapshots.size() == 2);
  std::filesystem::remove(std::max(snapshots[0], snapshots[1]));
  opened_golden opened(copy.path);
  CHECK(opened.shown() == copy.expected);
}

}  // namespace
}  // namespace weir
