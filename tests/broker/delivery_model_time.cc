// The random run: time, restarts, and what happens by itself.
#include <algorithm>
#include <utility>

#include "tests/broker/delivery_model_run.h"

namespace weir {
namespace {

constexpr int64_t deleted_late_ms_max = 5'000;  // an inactive consumer
constexpr int64_t clock_seen_ms = 1'000;        // until the shard has looked at its clocks
constexpr int64_t after_clock_ms = 6'000;
constexpr int64_t hour_ms = 3'600'000;

}  // namespace

void delivery_run::follow_clock() {
  naive_.mono = real_.clock.mono().raw() / manual_clock::ns_per_ms;
  naive_.wall = real_.clock.wall().raw();
  if (stays_ && naive_.mono >= suspect_since_ + hour_ms) {
    note("the wall clock is trusted again");
    suspect_ = stays_ = false;
    lenient_until_ = naive_.mono + clock_seen_ms;
  }
  naive_.believed = naive_.wall - (suspect_ ? jumped_by_ : 0);
  naive_.trusted = suspect_ ? std::nullopt : std::optional<int64_t>(naive_.wall);
}

void delivery_run::advance() {
  // Short and long; what deadlines, windows and ages are made of lies between.
  const int64_t ms = one_in(3) ? some_ms(30'000) : one_in(20) ? some_ms(150'000) : some_ms(1'500);
  note("advance " + std::to_string(ms));
  advance_by(ms);
}

void delivery_run::advance_by(int64_t ms) {
  const int64_t target = naive_.mono + ms;
  while (naive_.mono < target) {
    int64_t next = target;
    if (const auto timer = real_.deadlines.next()) {
      const int64_t at = (timer->raw() + manual_clock::ns_per_ms - 1) / manual_clock::ns_per_ms;
      next = std::min(next, std::max(at, naive_.mono + 1));
    }
    if (const auto event = naive_.next_event()) next = std::min(next, *event);
    for (const auto& one : subscriptions_) {
      if (one->waiting && one->until && *one->until > naive_.mono) next = std::min(next, *one->until);
    }
    next = std::min(next, std::max(next_sweep_, naive_.mono + 1));
    if (stays_) next = std::min(next, suspect_since_ + hour_ms);
    real_.advance_ms(next - naive_.mono);
    follow_clock();
    stop_here();
  }
}

// Everything that is due at this instant.
void delivery_run::stop_here() {
  for (int round = 0; real_.deadlines.next() && *real_.deadlines.next() <= real_.clock.mono(); ++round) {
    expect(round < 20, "a timer that is armed for the past again and again");
    real_.deadlines.run_due(real_.clock.mono());
    real_.settle();
  }
  naive_.expire();
  naive_.look_for_room();
  const bool sweeps = naive_.mono >= next_sweep_;
  if (sweeps) {
    observe_before_sweep();
    naive_.sweep();
    next_sweep_ = naive_.mono + static_cast<int64_t>(real_.limits.retention_sweep_ms);
  }
  observe_inactive(true);
  if (sweeps) sweep_late();
  serve();
  observe();
  serve();
  for (auto& [name, in] : naive_.streams) {
    const std::string late = naive_.mono < lenient_until_ ? "" : naive_.overdue(in);
    expect(late.empty(), name + ": " + late);
  }
  naive_.instant_is_over();
}

// What appeared in the same instant may be there before the sweep.
void delivery_run::sweep_late() {
  observe();
  for (auto& [name, in] : naive_.streams) {
    if (!in.config.limits.max_age_ms) continue;
    const auto info = real_.run(real_.now->get_stream(name));
    expect(static_cast<bool>(info), "info of " + name);
    if (info->stats.msg_count < in.live.size()) naive_.sweep_ages(in);
  }
}

// Consumers the shard deleted by itself.
void delivery_run::observe_inactive(bool by_itself) {
  for (; events_seen_ < real_.events.all.size(); ++events_seen_) {
    const watch_event& event = real_.events.all[events_seen_];
    if (!by_itself || event.kind != watch_kind::consumer_deleted) continue;
    note("inactive " + event.stream + "/" + event.consumer);
    naive::consumer* at = naive_.find(event.stream, event.consumer);
    expect(at != nullptr, "deleted by itself, unknown: " + event.stream + "/" + event.consumer);
    expect(naive_.inactive(*at, 0), "deleted though in use: " + event.stream + "/" + event.consumer);
    expect(!naive_.delete_consumer(event.stream, event.consumer), "deleted by itself");
  }
  if (!by_itself) return;
  for (const auto& [name, in] : naive_.streams) {
    for (const auto& [which, at] : in.consumers) {
      expect(!naive_.inactive(at, deleted_late_ms_max), "not deleted though inactive: " + name + "/" + which);
    }
  }
}

// What a new time ends (a pause) and what it begins (ages) come at different instants: the shard looks at its clocks
// before the next sweep.
void delivery_run::wait_for_sweep() {
  if (next_sweep_ - naive_.mono <= clock_seen_ms) advance_by(clock_seen_ms);
}

void delivery_run::clock_was_set() {
  lenient_until_ = naive_.mono + clock_seen_ms;
  follow_clock();
  advance_by(after_clock_ms);
}

// A correction of the wall clock by less than an hour: taken as it is.
void delivery_run::nudge_wall() {
  wait_for_sweep();
  const int64_t by = (one_in(2) ? 1 : -1) * some_ms(1'200'000);
  note("wall clock " + std::to_string(by));
  real_.clock.set_wall(wall_ms(naive_.wall + by));
  clock_was_set();
}

// The wall clock jumps by hours or days, and later back: nothing expires meanwhile. Or it stays: after an hour it is
// taken as it is.
void delivery_run::jump_wall() {
  if (stays_) return;
  wait_for_sweep();
  if (suspect_) {
    note("wall clock back");
    suspect_ = false;
    real_.clock.set_wall(wall_ms(real_.clock.wall().raw() - jumped_by_));
  } else {
    if (!one_in(3)) return;
    suspect_ = true;
    stays_ = one_in(4);
    jumped_by_ = (one_in(2) ? 1 : -1) * (2 * hour_ms + some_ms(1'000 * hour_ms));
    suspect_since_ = naive_.mono;
    note("wall clock jumps by " + std::to_string(jumped_by_) + (stays_ ? " and stays" : ""));
    real_.clock.set_wall(wall_ms(real_.clock.wall().raw() + jumped_by_));
    look_at_clock();
  }
  clock_was_set();
}

// The shard does: the hour begins.
void delivery_run::look_at_clock() {
  publish_request request;
  request.stream = "nowhere";
  request.subject = "a";
  request.message_id = "id";
  expect(!real_.run(real_.now->publish(request)), "publish to nowhere");
}

void delivery_run::wait_for_trust() {
  advance_by(suspect_since_ + hour_ms + after_clock_ms - naive_.mono);
}

// What is shown of a consumer is on disk from then on: lazily journaled progress too.
void delivery_run::show_all() {
  std::vector<name_pair> all;
  for (const auto& [name, in] : naive_.streams) {
    for (const auto& [which, at] : in.consumers) all.push_back({name, which});
  }
  for (const name_pair& at : all) compare_consumer(at.first, at.second);
}

// A clean stop, or the end of the process or of the power after a change that was waited for: whatever came before it
// is on disk too.
void delivery_run::restart() {
  result<void> restarted;
  end_all();
  const uint64_t how = up_to(3);
  if (how > 1) show_all();
  // The shard opens at 3, see the header.
  if (how <= 1) {
    note("clean restart");
    restarted = real_.run(real_.now->stop());
    expect(static_cast<bool>(restarted), "stop");
    real_.now.reset();
  } else {
    stream_config last;
    last.name = "last-change";
    expect(static_cast<bool>(real_.run(real_.now->create_stream(last))), "last change");
    expect(static_cast<bool>(real_.run(real_.now->delete_stream(last.name))), "last change");
    note(how == 2 ? "crash" : "kill");
    if (how == 2) {
      real_.crash(random_());
    } else {
      real_.kill();
    }
  }
  real_.clock.advance_ms(3);
  restarted = real_.open();
  expect(static_cast<bool>(restarted), restarted ? "" : "open: " + restarted.err().message);
  follow_clock();
  naive_.restart();
  reopened();
  check_everything();
}

void delivery_run::reopened() {
  next_sweep_ = naive_.mono + static_cast<int64_t>(real_.limits.retention_sweep_ms);
  events_seen_ = real_.events.all.size();
  real_.settle();
  observe();
  advance_by(7);
}

}  // namespace weir
