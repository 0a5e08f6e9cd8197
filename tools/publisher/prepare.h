// What a run needs to be there before it begins, and what it leaves behind: streams, and consumers of its own.
#pragma once

#include <string>
#include <vector>

#include "storage/result.h"
#include "tools/publisher/options.h"
#include "waymaker/streams.grpc.pb.h"

namespace weir {

// Creates the streams if they are missing and may be created. Fails with what the broker said, in words.
result<void> prepare_streams(waymaker::streams::WaymakerStreamsService::Stub& broker, const publisher_options& options);

// The consumers of a run, one a stream and all of one name, which begin after what is there already.
class run_consumers {
 public:
  explicit run_consumers(waymaker::streams::WaymakerStreamsService::Stub& broker) : broker_(broker) {}
  run_consumers(const run_consumers&) = delete;
  run_consumers& operator=(const run_consumers&) = delete;
  // Deletes them, if the broker is there; if not, it deletes them itself after a while.
  ~run_consumers();

  result<void> create(const std::vector<std::string>& streams);
  const std::string& name() const { return name_; }

 private:
  waymaker::streams::WaymakerStreamsService::Stub& broker_;
  std::string name_;
  std::vector<std::string> created_;  // in these streams
};

// A name that no other run has.
std::string run_consumer_name();

}  // namespace weir
