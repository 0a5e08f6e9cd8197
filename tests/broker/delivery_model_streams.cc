// The random run: operations on streams and messages.
#include "tests/broker/delivery_model_run.h"

namespace weir {

void delivery_run::create_stream() {
  stream_config config;
  config.name = one_in(60) ? "bad name" : any_stream();
  if (one_in(3)) {
    config.subjects_filter =
        one_in(2) ? std::vector<std::string>{"a", "a.>", "dead"} : std::vector<std::string>{"k.*", "dead"};
  }
  config.block_size = 1 + up_to(9);
  const uint64_t kind = up_to(9);
  if (kind < 6) {
    config.limits.max_msgs = maybe(30);
    config.limits.max_bytes = maybe(4'000);
    config.limits.max_age_ms = maybe(60'000);
    config.limits.strict = one_in(2);
    if (one_in(4)) config.discard_new = true;
  } else {
    config.policy = kind < 8 ? retention_policy::work_queue : retention_policy::interest;
  }
  if (one_in(5)) config.max_msgs_per_subject = 1 + up_to(3);
  if (config.discard_new && one_in(2)) config.discard_new_per_subject = true;
  if (one_in(3)) config.dedup_window_ms = 1 + static_cast<uint64_t>(some_ms(60'000));
  if (one_in(5)) config.max_msg_bytes = 100 + up_to(200);
  config.ephemeral = one_in(6);
  if (!config.ephemeral && one_in(3)) config.level = static_cast<durability>(1 + up_to(2));
  if (one_in(5)) config.metadata["k"] = "v";
  note("create " + config.name);
  const auto real = real_.run(real_.now->create_stream(config));
  const auto naive = naive_.create_stream(config);
  same_code(error_of(real), naive);
  if (real) story_.back() += shown(config);
}

void delivery_run::delete_stream() {
  const std::string name = any_stream();
  note("delete " + name);
  const auto real = real_.run(real_.now->delete_stream(name));
  same_code(error_of(real), naive_.delete_stream(name));
}

void delivery_run::update_stream() {
  stream_update update;
  update.name = any_stream();
  if (one_in(3)) update.max_msgs = up_to(30);
  if (one_in(3)) update.max_bytes = up_to(3'000);
  if (one_in(3)) update.max_age_ms = up_to(60'000);
  if (one_in(3)) update.max_msg_bytes = one_in(2) ? 0 : 100 + up_to(200);
  if (one_in(4)) update.strict_limits = one_in(2);
  note("update " + update.name + " msgs " + std::to_string(update.max_msgs.value_or(9999)) + " bytes " +
       std::to_string(update.max_bytes.value_or(9999)) + " age " + std::to_string(update.max_age_ms.value_or(99999)) +
       " strict " + (update.strict_limits ? std::to_string(*update.strict_limits) : "-"));
  const auto real = real_.run(real_.now->update_stream(update));
  const auto naive = naive_.update_stream(update);
  if (!both(real, naive)) return;
  expect(real->config == naive->config, "config of updated " + update.name);
  same(real->pruned, naive->pruned, "pruned by the update");
}

void delivery_run::list_streams() {
  const auto real = real_.run(real_.now->list_streams());
  expect(real && *real == naive_.list_streams(), "list of streams");
}

naive::publishing delivery_run::some_publishing() {
  naive::publishing what;
  what.stream = any_stream();
  what.subject = one_in(100) ? "a..b" : one_in(40) ? "dead" : any_subject();
  what.payload.assign(one_in(50) ? up_to(500) : up_to(60), static_cast<char>('a' + up_to(25)));
  if (one_in(3)) {
    std::vector<header> headers;
    for (uint64_t i = up_to(4); i > 0; --i) {
      headers.push_back({"k" + std::to_string(up_to(2)), std::string(up_to(20), 'v')});
    }
    what.headers = encode_headers(headers);
  }
  if (one_in(5)) what.time = naive_.wall - static_cast<int64_t>(up_to(80'000));
  if (one_in(6)) {
    const auto latest = naive_.read_latest(what.stream, what.subject);
    what.expected = latest && *latest && !one_in(3) ? (*latest)->seq : up_to(20);
  }
  if (one_in(5)) what.id = "id" + std::to_string(up_to(40));
  if (one_in(12)) what.ttl_ms = 5 + static_cast<uint64_t>(some_ms(20'000));
  return what;
}

publish_request delivery_run::request_of(const naive::publishing& what) const {
  publish_request request;
  request.stream = what.stream;
  request.subject = what.subject;
  request.payload = as_bytes(what.payload);
  request.headers = as_bytes(what.headers);
  request.ts_ms = what.time;
  request.expected_last_seq = what.expected;
  request.message_id = what.id;
  request.ttl_ms = what.ttl_ms;
  request.deliver_at_ms = what.deliver_at;
  return request;
}

uint64_t delivery_run::last_of(const std::string& name) {
  const naive::stream* in = naive_.find(name);
  return in == nullptr ? 0 : in->last;
}

void delivery_run::publish() {
  naive::publishing what = some_publishing();
  if (one_in(14)) {
    what.deliver_at = naive_.believed - 1'000 + 5 + some_ms(25'000);
    if (!one_in(10)) what.expected.reset();
  }
  note("publish " + what.stream + " " + what.subject + " bytes " + std::to_string(what.payload.size()) +
       (what.expected ? " expecting " + std::to_string(*what.expected) : "") + (what.id.empty() ? "" : " " + what.id) +
       (what.ttl_ms != 0 ? " ttl " + std::to_string(what.ttl_ms) : "") +
       (what.deliver_at != 0 ? " in " + std::to_string(what.deliver_at - naive_.believed) : ""));
  const auto real = real_.run(real_.now->publish(request_of(what)));
  const auto shown = shown_if_somebody_got(what.stream);
  result<published> naive = published();
  const auto happens = [this, &what, &naive] {
    appended_from_ = last_of(what.stream) + 1;
    naive = naive_.publish(what);
    if (naive && !naive->scheduled && !naive->duplicate) serve_meanwhile(*naive_.find(what.stream));
  };
  if (shown) {
    find_moment(*naive_.find(what.stream), *shown, {0, 1}, happens);
  } else {
    happens();
  }
  if (!both(real, naive)) {
    if (!real) same(real.err().detail, naive.err().detail, "detail");
    return;
  }
  story_.back() += " -> " + std::to_string(real->seq.raw());
  same(real->duplicate, naive->duplicate, "duplicate");
  same(real->scheduled, naive->scheduled, "scheduled");
  same(real->seq.raw(), naive->seq.raw(), "seq");
}

void delivery_run::publish_all() {
  std::vector<naive::publishing> run(1 + up_to(5));
  for (naive::publishing& one : run) {
    one = some_publishing();
    one.stream = run.front().stream;
    if (!one_in(4)) one.expected.reset();
    if (!one_in(8)) one.id.clear();
    if (one.subject == "a..b" || one.payload.size() > 200) one.payload = "short";
  }
  if (one_in(20)) run.resize(7, run.front());
  std::string text = "publish_all " + run.front().stream;
  std::vector<publish_request> requests;
  for (const naive::publishing& one : run) {
    requests.push_back(request_of(one));
    text += " " + one.subject + (one.expected ? "=" + std::to_string(*one.expected) : "") +
            (one.id.empty() ? "" : "/" + one.id);
  }
  note(text);
  const auto real = real_.run(real_.now->publish_all(requests));
  uint64_t first = 0;
  std::set<errc> problems;
  const auto shown = shown_if_somebody_got(run.front().stream);
  const auto happens = [this, &run, &first, &problems] {
    appended_from_ = last_of(run.front().stream) + 1;
    problems = naive_.publish_all(run, first);
    if (problems.empty()) serve_meanwhile(*naive_.find(run.front().stream));
  };
  if (shown) {
    find_moment(*naive_.find(run.front().stream), *shown, {0, run.size()}, happens);
  } else {
    happens();
  }
  if (!real) {
    story_.back() += " -> " + std::string(to_string(real.err().code));
    expect(problems.contains(real.err().code),
           "refused with " + std::string(to_string(real.err().code)) + " (" + real.err().message +
               "), the model: " + (problems.empty() ? "success" : std::string(to_string(*problems.begin()))));
    return;
  }
  expect(problems.empty(), "stored, the model: " + std::string(problems.empty() ? "" : to_string(*problems.begin())));
  same(real->raw(), first, "first seq of the run");
}

void delivery_run::list_subjects() {
  const std::string name = any_stream();
  const std::string prefix = one_in(3) ? "" : any_subject().substr(0, 1 + up_to(2));
  const auto real = real_.run(real_.now->list_subjects(name, prefix));
  const auto naive = naive_.list_subjects(name, prefix);
  if (both(real, naive)) expect(*real == *naive, "subjects of " + name);
}

void delivery_run::scan() {
  scan_query query{any_stream(), any_subject(), up_to(60), up_to(8)};
  const auto real = real_.run(real_.now->scan_subject(query));
  const auto naive = naive_.scan(query.stream, query.subject, query.from_seq, query.limit);
  if (!both(real, naive)) return;
  expect(real->damaged.empty(), "damaged messages");
  same(real->records.size(), naive->size(), "scanned");
  for (size_t i = 0; i < naive->size(); ++i) same_message(real->records[i], (*naive)[i]);
}

void delivery_run::get_message() {
  const std::string name = any_stream();
  const uint64_t seq = up_to(80);
  const auto real = real_.run(real_.now->get_message(name, seq_no(seq)));
  const auto naive = naive_.get_message(name, seq);
  if (!both(real, naive)) return;
  same(real->has_value(), naive->has_value(), "whether the message is there");
  if (*naive) same_message(**real, **naive);
}

void delivery_run::delete_message() {
  const std::string name = any_stream();
  const naive::stream* in = naive_.find(name);
  const uint64_t last = in == nullptr ? 10 : in->last + 1;
  const uint64_t seq = last - std::min<uint64_t>(last, up_to(40));
  note("delete " + name + " " + std::to_string(seq));
  const auto real = real_.run(real_.now->delete_message(name, seq_no(seq)));
  const auto naive = naive_.delete_message(name, seq);
  if (both(real, naive)) same(*real, *naive, "whether it was there");
}

void delivery_run::purge() {
  purge_request request;
  request.stream = any_stream();
  if (!one_in(3)) request.subject = one_in(2) ? any_subject() : any_filter();
  const naive::stream* in = naive_.find(request.stream);
  if (one_in(2)) request.up_to_seq = 1 + up_to(in == nullptr ? 10 : in->last + 2);
  if (one_in(2)) request.keep = up_to(10);
  note("purge " + request.stream + " '" + request.subject + "' up to " + std::to_string(request.up_to_seq) + " keep " +
       std::to_string(request.keep));
  const auto real = real_.run(real_.now->purge(request));
  const auto naive = naive_.purge(request);
  if (both(real, naive)) same(*real, *naive, "purged");
}

}  // namespace weir
