// Runs a fuzz target over its seeds, cut and changed by chance, and over the files of a folder, without libFuzzer.
//
//   replay_TARGET [FOLDER]          WEIR_SEED and WEIR_LONG as in tests/sim/test_seed.h
//   replay_TARGET --write FOLDER    writes the seeds there
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>

#include "tests/fuzz/target.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

std::string under_way;

void show(int) {
  for (const char one : under_way) std::fprintf(stderr, "\\x%02x", static_cast<unsigned char>(one));
  std::fprintf(stderr, "\n");
}

void run_one(const std::string& input) {
  under_way = input;
  // Its own allocation, so that a sanitizer sees a read past it.
  const auto bytes = std::make_unique<uint8_t[]>(input.size());
  std::memcpy(bytes.get(), input.data(), input.size());
  LLVMFuzzerTestOneInput(bytes.get(), input.size());
}

std::string changed(const std::vector<std::string>& seeds, std::mt19937_64& random) {
  std::string input = seeds[random() % seeds.size()];
  for (uint64_t left = random() % 4; left > 0 && !input.empty(); --left) {
    const size_t at = random() % input.size();
    switch (random() % 5) {
      case 0:
        input.erase(at, 1 + random() % 4);
        break;
      case 1:
        input.insert(at, 1, static_cast<char>(random()));
        break;
      case 2: {
        const std::string& other = seeds[random() % seeds.size()];
        input.insert(at, other, random() % other.size());
        break;
      }
      default:
        input[at] = static_cast<char>(random());
    }
  }
  return input;
}

void run_seeds(uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::vector<std::string> seeds = fuzz_seeds();
  for (const std::string& one : seeds) {
    for (size_t size = 0; size <= one.size(); ++size) run_one(one.substr(0, size));
  }
  for (int round = 0; round < 20'000; ++round) run_one(changed(seeds, random));
}

size_t run_files(const std::filesystem::path& folder) {
  size_t count = 0;
  if (!std::filesystem::exists(folder)) return count;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::printf("%s\n", entry.path().c_str());
    run_one(std::string(std::istreambuf_iterator<char>(file), {}));
    ++count;
  }
  return count;
}

int replay(int argc, char** argv) {
  std::signal(SIGABRT, show);
  if (argc == 3 && std::string(argv[1]) == "--write") {
    std::filesystem::create_directories(argv[2]);
    int number = 0;
    for (const std::string& one : fuzz_seeds()) {
      std::ofstream(std::filesystem::path(argv[2]) / ("seed-" + std::to_string(++number)), std::ios::binary) << one;
    }
    return 0;
  }
  const size_t files = argc > 1 ? run_files(argv[1]) : 0;
  const seed_range range = test_seeds(2, 50);
  for (uint64_t seed = range.first; seed < range.last; ++seed) {
    std::printf("WEIR_SEED=%llu\n", static_cast<unsigned long long>(seed));
    run_seeds(seed);
  }
  std::printf("%zu files, %llu seeds\n", files, static_cast<unsigned long long>(range.last - range.first));
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::replay(argc, argv);
}
