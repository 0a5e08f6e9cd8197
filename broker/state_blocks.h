// The pieces that entries and snapshots of the broker's state are made of: a stream, a consumer, and the lists in them.
// Their bytes are described in state_codec.h. Reading faults the reader at the first thing that no writer wrote.
#pragma once

#include <vector>

#include "broker/consumer.h"
#include "broker/state_bytes.h"
#include "broker/types.h"

namespace weir {

struct stream_record {
  stream_config config;
  wall_ms created_at;
};

struct consumer_record {
  uint32_t number = 0;
  consumer_config config;
  wall_ms created_at;
  seq_no next;
  seq_no last_delivered;
  uint64_t dropped = 0;
  std::vector<consumer_delta::run> pending;
  wall_ms paused_until{0};
  seq_no floor_min;
  std::vector<dying_message> dying;
  std::vector<parked_message> parked;
};

void put_stream(state_writer& to, const stream_record& stream);
void put_runs(state_writer& to, const std::vector<consumer_delta::run>& runs);
void put_dying(state_writer& to, const std::vector<dying_message>& dying);
void put_parked(state_writer& to, const std::vector<parked_message>& parked);
void put_consumer(state_writer& to, const consumer_record& record);

uint32_t get_u32(state_reader& from);
stream_record get_stream(state_reader& outer);
std::vector<consumer_delta::run> get_runs(state_reader& from);
std::vector<dying_message> get_dying(state_reader& from);
std::vector<parked_message> get_parked(state_reader& from);
consumer_record get_consumer(state_reader& outer);

}  // namespace weir
