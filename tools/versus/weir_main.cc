// versus-weir: the weir part of a comparison. `--path unary` is Publish, Fetch and AckMany; `--path lane` is
// weir.v1.Broker.
#include "tools/load/bench_report.h"
#include "tools/versus/weir_calls.h"
#include "tools/versus/weir_lane.h"
#include "tools/versus/weir_unary.h"

namespace weir {
namespace {

class weir_system final : public versus_system {
 public:
  explicit weir_system(const versus_options& options) : options_(options), lane_(options.path == "lane") {
    if (!lane_ && options.path != "unary") stop_bench("--path takes unary or lane");
  }

  void create_stream() override { create_weir_stream(options_.server, options_.stream); }
  void create_consumer() override { create_weir_consumer(options_.server, options_.stream, options_.consumer); }
  std::unique_ptr<publisher_link> publisher() override {
    return lane_ ? make_lane_publisher(options_) : make_unary_publisher(options_);
  }
  std::unique_ptr<consumer_link> consumer(unsigned) override {
    return lane_ ? make_lane_consumer(options_) : make_unary_consumer(options_);
  }
  // Every acknowledgement is answered.
  bool settle() override { return false; }

 private:
  const versus_options& options_;
  const bool lane_;
};

std::unique_ptr<versus_system> make(const versus_options& options) {
  return std::make_unique<weir_system>(options);
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::versus_main(argc, argv, weir::make);
}
