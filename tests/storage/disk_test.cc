// Both disks keep the same contract; the simulated one also forgets as promised.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <random>

#include "storage/posix_disk.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/temp_dir.h"

namespace weir {
namespace {

struct posix_fixture {
  temp_dir dir;
  posix_disk it{dir.path() + "/data"};
  posix_fixture() { REQUIRE(it.make_dir("")); }
};
struct sim_fixture {
  sim_disk it;
};

std::string read_all(file& from) {
  std::string text(*from.size(), '\0');
  auto got = from.read_at(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()});
  REQUIRE(got);
  CHECK(*got == text.size());
  return text;
}

std::unique_ptr<file> make_file(disk& where, const std::string& path, std::string_view text) {
  auto made = where.open(path, disk::mode::create);
  REQUIRE(made);
  REQUIRE((*made)->write_at(0, as_bytes(text)));
  return std::move(*made);
}

std::string text_at(disk& where, const std::string& path) {
  auto opened = where.open(path, disk::mode::read);
  REQUIRE(opened);
  return read_all(**opened);
}

TEST_CASE_TEMPLATE("disk: bytes written are read back at any offset", fixture, posix_fixture, sim_fixture) {
  fixture f;
  auto opened = make_file(f.it, "a", "hello world");
  REQUIRE(opened->write_at(6, as_bytes("there")));
  REQUIRE(opened->write_at(16, as_bytes("far")));
  CHECK(read_all(*opened) == std::string("hello there\0\0\0\0\0far", 19));
  REQUIRE(opened->sync());
  CHECK(text_at(f.it, "a") == std::string("hello there\0\0\0\0\0far", 19));
}

// Memory for a write, at the same place in its page as in the file or elsewhere.
byte_span laid(std::vector<uint8_t>& memory, uint64_t offset, byte_span bytes, bool in_place) {
  memory.assign(bytes.size() + 3 * disk::page_bytes, 0xee);
  const size_t to_page = disk::page_bytes - reinterpret_cast<uintptr_t>(memory.data()) % disk::page_bytes;
  uint8_t* at = memory.data() + to_page + (in_place ? offset % disk::page_bytes : 33);
  std::copy(bytes.begin(), bytes.end(), at);
  return {at, bytes.size()};
}

TEST_CASE_TEMPLATE("disk: what is written onwards is there, at any size and from any memory", fixture, posix_fixture,
                   sim_fixture) {
  constexpr size_t size = 64 * disk::page_bytes;
  std::mt19937_64 random(7);
  for (int round = 0; round < 20; ++round) {
    fixture f;
    std::string expected(size, 'x');
    make_file(f.it, "a", expected);
    auto opened = f.it.open("a", disk::mode::onwards);
    REQUIRE(opened);
    std::vector<uint8_t> memory;
    uint64_t offset = disk::page_bytes;
    while (random() % 40 != 0) {
      std::string text(1 + random() % (random() % 4 == 0 ? 5 * disk::page_bytes : 300), static_cast<char>(random()));
      if (offset + text.size() > size) break;
      REQUIRE((*opened)->write_at(offset, laid(memory, offset, as_bytes(text), random() % 2 == 0)));
      expected.replace(offset, text.size(), text);
      offset += text.size();
      if (random() % 8 == 0) {
        opened = f.it.open("a", disk::mode::onwards);
        REQUIRE(opened);
      }
    }
    REQUIRE((*opened)->sync());
    const std::string found = text_at(f.it, "a");
    REQUIRE(found.size() == size);
    CHECK(found.substr(0, offset) == expected.substr(0, offset));
    const uint64_t page_end = (offset + disk::page_bytes - 1) / disk::page_bytes * disk::page_bytes;
    CHECK(found.substr(page_end) == expected.substr(page_end));
  }
}

TEST_CASE_TEMPLATE("disk: whole pages lie between what is written otherwise", fixture, posix_fixture, sim_fixture) {
  fixture f;
  constexpr size_t page = disk::page_bytes;
  auto opened = make_file(f.it, "a", std::string(page, 'a') + std::string(10, 'b'));
  REQUIRE(opened->write_at(page + 10, as_bytes(std::string(page - 10, 'c'))));
  auto pages = f.it.open("a", disk::mode::pages);
  REQUIRE(pages);
  const chunk_ref memory = chunk_ref::make(3 * page);
  std::fill_n(memory->data(), 3 * page, uint8_t{'d'});
  REQUIRE((*pages)->write_at(2 * page, {memory->data(), 3 * page}));
  REQUIRE(opened->write_at(5 * page, as_bytes("the end")));
  REQUIRE(opened->sync());
  CHECK(text_at(f.it, "a") == std::string(page, 'a') + std::string(10, 'b') + std::string(page - 10, 'c') +
                                  std::string(3 * page, 'd') + "the end");
}

TEST_CASE_TEMPLATE("disk: a read is short only at the end of the file", fixture, posix_fixture, sim_fixture) {
  fixture f;
  auto opened = make_file(f.it, "a", "0123456789");
  std::array<uint8_t, 8> into{};
  CHECK(*opened->read_at(0, into) == 8);
  CHECK(*opened->read_at(6, into) == 4);
  CHECK(*opened->read_at(10, into) == 0);
  CHECK(*opened->read_at(1000, into) == 0);
}

TEST_CASE_TEMPLATE("disk: truncate cuts and grows with zeros", fixture, posix_fixture, sim_fixture) {
  fixture f;
  auto opened = make_file(f.it, "a", "0123456789");
  REQUIRE(opened->truncate(4));
  CHECK(read_all(*opened) == "0123");
  REQUIRE(opened->truncate(6));
  CHECK(read_all(*opened) == std::string("0123\0\0", 6));
}

TEST_CASE_TEMPLATE("disk: create refuses a file that exists, open one that does not", fixture, posix_fixture,
                   sim_fixture) {
  fixture f;
  make_file(f.it, "a", "x");
  auto again = f.it.open("a", disk::mode::create);
  REQUIRE(!again);
  CHECK(again.err().code == errc::storage_failed);
  CHECK(again.err().message.find("File exists") != std::string::npos);
  auto missing = f.it.open("b", disk::mode::read_write);
  REQUIRE(!missing);
  CHECK(missing.err().message.find("b: No such file") != std::string::npos);
  CHECK_FALSE(f.it.open("no/such/dir", disk::mode::create));
  CHECK_FALSE(f.it.exists("b"));
  CHECK(f.it.exists("a"));
}

TEST_CASE_TEMPLATE("disk: a file opened to read cannot be written", fixture, posix_fixture, sim_fixture) {
  fixture f;
  make_file(f.it, "a", "x");
  auto opened = f.it.open("a", disk::mode::read);
  REQUIRE(opened);
  CHECK_FALSE((*opened)->write_at(0, as_bytes("y")));
}

TEST_CASE_TEMPLATE("disk: directories are made with their parents and listed with a slash", fixture, posix_fixture,
                   sim_fixture) {
  fixture f;
  REQUIRE(f.it.make_dir("one/two/three"));
  REQUIRE(f.it.make_dir("one/two"));
  make_file(f.it, "one/b", "");
  make_file(f.it, "one/a", "");
  make_file(f.it, "one/two/c", "");
  CHECK(*f.it.list("one") == std::vector<std::string>{"a", "b", "two/"});
  CHECK(*f.it.list("") == std::vector<std::string>{"one/"});
  CHECK(f.it.exists("one/two"));
  CHECK_FALSE(f.it.list("none"));
  CHECK_FALSE(f.it.make_dir("one/a"));
}

TEST_CASE_TEMPLATE("disk: rename replaces, remove takes files and empty directories", fixture, posix_fixture,
                   sim_fixture) {
  fixture f;
  make_file(f.it, "a", "new");
  make_file(f.it, "b", "old");
  REQUIRE(f.it.rename("a", "b"));
  CHECK_FALSE(f.it.exists("a"));
  CHECK(text_at(f.it, "b") == "new");
  CHECK_FALSE(f.it.rename("a", "c"));
  REQUIRE(f.it.make_dir("d"));
  make_file(f.it, "d/x", "");
  CHECK_FALSE(f.it.remove("d"));
  REQUIRE(f.it.remove("d/x"));
  REQUIRE(f.it.remove("d"));
  REQUIRE(f.it.remove("b"));
  CHECK_FALSE(f.it.remove("b"));
  CHECK(f.it.list("")->empty());
}

TEST_CASE_TEMPLATE("disk: an open file keeps its bytes when its name goes", fixture, posix_fixture, sim_fixture) {
  fixture f;
  auto opened = make_file(f.it, "a", "kept");
  REQUIRE(f.it.rename("a", "b"));
  CHECK(read_all(*opened) == "kept");
  REQUIRE(f.it.remove("b"));
  CHECK(read_all(*opened) == "kept");
}

TEST_CASE_TEMPLATE("disk: a file with a second name is one file, until the last name goes", fixture, posix_fixture,
                   sim_fixture) {
  fixture f;
  make_file(f.it, "a", "one");
  REQUIRE(f.it.make_dir("d"));
  CHECK(*f.it.names_of("a") == 1);
  REQUIRE(f.it.link("a", "d/b"));
  CHECK(*f.it.names_of("a") == 2);
  CHECK(*f.it.names_of("d/b") == 2);
  auto opened = f.it.open("d/b", disk::mode::read_write);
  REQUIRE(opened);
  REQUIRE((*opened)->write_at(3, as_bytes(" two")));
  CHECK(text_at(f.it, "a") == "one two");
  CHECK_FALSE(f.it.link("a", "d/b"));
  CHECK_FALSE(f.it.link("none", "d/c"));
  CHECK_FALSE(f.it.names_of("none"));
  REQUIRE(f.it.remove("a"));
  CHECK(*f.it.names_of("d/b") == 1);
  CHECK(text_at(f.it, "d/b") == "one two");
}

TEST_CASE_TEMPLATE("disk: an allocated file has its size, holds zeros and keeps what was written", fixture,
                   posix_fixture, sim_fixture) {
  fixture f;
  auto opened = make_file(f.it, "a", "x");
  auto allocated = opened->allocate(3 * disk::page_bytes);
  REQUIRE(allocated);
  if (!*allocated) return;  // a file system without it
  CHECK(read_all(*opened) == "x" + std::string(3 * disk::page_bytes - 1, '\0'));
  REQUIRE(opened->sync());
  CHECK(*opened->size() == 3 * disk::page_bytes);
}

TEST_CASE_TEMPLATE("disk: a directory made durable syncs every parent", fixture, posix_fixture, sim_fixture) {
  fixture f;
  REQUIRE(make_dir_durable(f.it, "p/q/r"));
  CHECK(f.it.exists("p/q/r"));
  REQUIRE(f.it.sync_dir("p/q/r"));
  CHECK_FALSE(f.it.sync_dir("p/none"));
  CHECK(*f.it.free_bytes() > 0);
}

TEST_CASE("posix disk: files are private and errors name the path") {
  posix_fixture f;
  REQUIRE(f.it.make_dir("d"));
  make_file(f.it, "d/a", "x");
  struct stat found {};
  REQUIRE(::stat((f.dir.path() + "/data/d/a").c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0600);
  REQUIRE(::stat((f.dir.path() + "/data/d").c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0700);
  auto bad = f.it.open("d/none", disk::mode::read);
  REQUIRE(!bad);
  CHECK(bad.err().message.find(f.dir.path() + "/data/d/none") != std::string::npos);
}

TEST_CASE("sim disk: synced bytes under a synced name survive every crash") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    sim_disk it;
    auto opened = make_file(it, "a", std::string(3000, 's'));
    REQUIRE(opened->sync());
    REQUIRE(it.sync_dir(""));
    REQUIRE(opened->write_at(1024, as_bytes(std::string(1024, 'u'))));
    it.crash(seed);
    std::string after = text_at(it, "a");
    REQUIRE(after.size() == 3000);
    CHECK(after.substr(0, 1024) == std::string(1024, 's'));
    CHECK(after.substr(2048) == std::string(952, 's'));
    CHECK_FALSE(opened->write_at(0, as_bytes("x")));
  }
}

TEST_CASE("sim disk: a synced second name survives every crash, an unsynced one may be lost; the bytes stay") {
  uint64_t lost = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    sim_disk it;
    REQUIRE(make_file(it, "a", "bytes")->sync());
    REQUIRE(it.make_dir("d"));
    REQUIRE(it.sync_dir(""));
    REQUIRE(it.link("a", "d/b"));
    REQUIRE(it.sync_dir("d"));
    REQUIRE(it.link("a", "d/c"));
    REQUIRE(it.remove("a"));
    CHECK(it.used() == 5);
    CHECK(it.copy()->used() == 5);
    it.crash(seed);
    CHECK(text_at(it, "d/b") == "bytes");
    lost += it.exists("d/c") ? 0 : 1;
  }
  CHECK(lost > 0);
  CHECK(lost < 200);
}

TEST_CASE("sim disk: unsynced sectors come and go one by one, and the last write tears at any byte") {
  bool first_only = false;
  bool second_only = false;
  bool torn_inside = false;
  bool all = false;
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    sim_disk it;
    auto opened = make_file(it, "a", std::string(1024, '.'));
    REQUIRE(opened->sync());
    REQUIRE(it.sync_dir(""));
    REQUIRE(opened->write_at(0, as_bytes(std::string(1024, 'w'))));
    it.crash(seed);
    std::string after = text_at(it, "a");
    auto arrived = [&](size_t sector) { return after.substr(sector * 512, 512) == std::string(512, 'w'); };
    auto lost = [&](size_t sector) { return after.substr(sector * 512, 512) == std::string(512, '.'); };
    first_only |= arrived(0) && lost(1);
    second_only |= lost(0) && arrived(1);
    torn_inside |= (!arrived(0) && !lost(0)) || (!arrived(1) && !lost(1));
    all |= arrived(0) && arrived(1);
  }
  CHECK(first_only);
  CHECK(second_only);
  CHECK(torn_inside);
  CHECK(all);
}

TEST_CASE("sim disk: names appear and vanish until their directory is synced; a rename is atomic") {
  bool vanished = false;
  bool stayed = false;
  bool renamed = false;
  bool not_renamed = false;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    sim_disk it;
    REQUIRE(make_file(it, "old", "x")->sync());
    REQUIRE(it.sync_dir(""));
    REQUIRE(make_file(it, "new", "y")->sync());
    REQUIRE(it.rename("old", "moved"));
    it.crash(seed);
    (it.exists("new") ? stayed : vanished) = true;
    CHECK(it.exists("old") != it.exists("moved"));
    (it.exists("moved") ? renamed : not_renamed) = true;
  }
  CHECK(vanished);
  CHECK(stayed);
  CHECK(renamed);
  CHECK(not_renamed);
}

TEST_CASE("sim disk: the same seed loses the same bytes") {
  auto run = [](uint64_t seed) {
    sim_disk it;
    auto opened = make_file(it, "a", std::string(20000, 'a'));
    REQUIRE(it.sync_dir(""));
    REQUIRE(opened->write_at(5000, as_bytes(std::string(20000, 'b'))));
    it.crash(seed);
    return it.contents("a");
  };
  CHECK(run(7) == run(7));
  CHECK(run(7) != run(8));
}

TEST_CASE("sim disk: after a failed sync the next one succeeds and the bytes are still not on the disk") {
  bool lost = false;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    sim_disk it;
    auto opened = make_file(it, "a", std::string(8192, '.'));
    REQUIRE(opened->sync());
    REQUIRE(it.sync_dir(""));
    REQUIRE(opened->write_at(0, as_bytes(std::string(8192, 'w'))));
    it.fail(sim_disk::op::sync, 1);
    CHECK_FALSE(opened->sync());
    CHECK(opened->sync());
    CHECK(read_all(*opened) == std::string(8192, 'w'));
    it.crash(seed);
    lost |= text_at(it, "a") != std::string(8192, 'w');
  }
  CHECK(lost);
}

TEST_CASE("sim disk: faults hit the k-th operation, once or from then on") {
  sim_disk it;
  auto opened = make_file(it, "a", "");
  it.fail(sim_disk::op::write, 2);
  CHECK(opened->write_at(0, as_bytes("1")));
  CHECK_FALSE(opened->write_at(1, as_bytes("2")));
  CHECK(opened->write_at(2, as_bytes("3")));
  it.fail(sim_disk::op::change, 2, true);
  CHECK(opened->write_at(0, as_bytes("1")));
  CHECK_FALSE(opened->sync());
  CHECK_FALSE(it.rename("a", "b"));
  it.heal();
  CHECK(opened->sync());
  CHECK(it.count(sim_disk::op::sync) == 2);
  CHECK(it.failures() == 3);
}

TEST_CASE("sim disk: a full disk refuses growth, takes overwrites, and has room again after a removal") {
  sim_disk it;
  it.set_capacity(1000);
  auto opened = make_file(it, "a", std::string(600, 'a'));
  auto other = it.open("b", disk::mode::create);
  REQUIRE(other);
  auto grown = (*other)->write_at(0, as_bytes(std::string(500, 'b')));
  REQUIRE(!grown);
  CHECK(grown.err().code == errc::disk_full);
  CHECK(opened->write_at(0, as_bytes(std::string(600, 'c'))));
  REQUIRE(it.remove("a"));
  CHECK((*other)->write_at(0, as_bytes(std::string(500, 'b'))));
  CHECK(*it.free_bytes() == 500);
}

TEST_CASE("sim disk: a copy is a disk of its own") {
  sim_disk it;
  make_file(it, "a", "one");
  auto twin = it.copy();
  twin->flip_bit("a", 0, 0);
  CHECK(text_at(it, "a") == "one");
  CHECK(text_at(*twin, "a") == "nne");
  twin->crash(3);
  CHECK(text_at(*twin, "a") == "nne");
}

}  // namespace
}  // namespace weir
