// How answers look on a terminal, and as JSON.
#pragma once

#include <string>

#include "waymaker/streams.pb.h"

namespace weir {

// Protobuf's own JSON on one line, reference field names, zero values included.
std::string to_json(const google::protobuf::Message& message);

std::string to_text(const waymaker::streams::GetStreamInfoResponse& info);
std::string to_text(const waymaker::streams::ConsumerStatePb& consumer);
// All of it, with why nothing is delivered.
std::string details(const waymaker::streams::ConsumerStatePb& consumer);
std::string to_text(const waymaker::streams::MessagePb& message);
std::string to_text(const waymaker::streams::WatchEvent& event);

// A time of the broker, milliseconds since 1970, as 2026-11-21T21:09:00.123Z.
std::string time_text(int64_t ms);
// 1234567 as 1.2 MB.
std::string bytes_text(uint64_t bytes);

}  // namespace weir
