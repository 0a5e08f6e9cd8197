// The compiled descriptors against contract.tsv, the table that extract_contract.py made of the reference documents.
//
// Both sides are turned into the same lines (extract_contract.py says what a line holds), and the sets are compared.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proto/all_descriptors.h"
#include "waymaker/streams.pb.h"
#include "weir/v1/broker.pb.h"

namespace weir {
namespace {

namespace pb = google::protobuf;
using lines = std::set<std::string>;

constexpr int own_numbers_from = 1000;
constexpr std::string_view own_package = "weir.v1";

std::string joined(std::initializer_list<std::string_view> cells) {
  std::string line;
  for (auto cell : cells) {
    if (!line.empty()) line += '\t';
    line += cell;
  }
  return line;
}

std::string type_of(const pb::FieldDescriptor& field) {
  if (field.message_type() != nullptr) return field.message_type()->full_name();
  if (field.enum_type() != nullptr) return field.enum_type()->full_name();
  return field.type_name();
}

std::string label_of(const pb::FieldDescriptor& field) {
  if (field.is_repeated()) return "repeated";
  if (field.real_containing_oneof() != nullptr) return "oneof:" + field.real_containing_oneof()->name();
  return field.has_optional_keyword() ? "optional" : "singular";
}

std::string line_of(const pb::FieldDescriptor& field) {
  return joined({"field", field.containing_type()->full_name(), field.name(), std::to_string(field.number()),
                 type_of(field), label_of(field)});
}

std::string line_of(const pb::MethodDescriptor& method) {
  return joined({"rpc", method.service()->full_name(), method.name(), method.input_type()->full_name(),
                 method.output_type()->full_name(), method.client_streaming() ? "true" : "false",
                 method.server_streaming() ? "true" : "false"});
}

void add_enum(const pb::EnumDescriptor& type, lines& out) {
  for (int i = 0; i < type.value_count(); ++i) {
    out.insert(joined({"value", type.full_name(), type.value(i)->name(), std::to_string(type.value(i)->number())}));
  }
}

// Leaves out what is ours by number: such fields, and the entry types of such map fields.
void add_message(const pb::Descriptor& type, lines& out) {
  if (type.options().map_entry()) return;
  out.insert(joined({"message", type.full_name()}));
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->number() < own_numbers_from) out.insert(line_of(*type.field(i)));
  }
  for (int i = 0; i < type.enum_type_count(); ++i) add_enum(*type.enum_type(i), out);
  for (int i = 0; i < type.nested_type_count(); ++i) add_message(*type.nested_type(i), out);
}

// Everything compiled that the reference has a say in: all but our own package and our own numbers.
lines compiled_contract() {
  lines out;
  for (const auto* file : all_files()) {
    if (file->package() == own_package) continue;
    for (int i = 0; i < file->message_type_count(); ++i) add_message(*file->message_type(i), out);
    for (int i = 0; i < file->enum_type_count(); ++i) add_enum(*file->enum_type(i), out);
    for (int i = 0; i < file->service_count(); ++i) {
      const auto& service = *file->service(i);
      for (int m = 0; m < service.method_count(); ++m) out.insert(line_of(*service.method(m)));
    }
  }
  return out;
}

lines reference_contract() {
  std::ifstream table(WEIR_CONTRACT_TABLE);
  lines out;
  for (std::string line; std::getline(table, line);) out.insert(line);
  return out;
}

struct contract_difference {
  std::vector<std::string> missing;  // in the reference, not compiled like that
  std::vector<std::string> foreign;  // compiled, not in the reference
};

contract_difference compare(const lines& reference, const lines& compiled) {
  contract_difference found;
  std::set_difference(reference.begin(), reference.end(), compiled.begin(), compiled.end(),
                      std::back_inserter(found.missing));
  std::set_difference(compiled.begin(), compiled.end(), reference.begin(), reference.end(),
                      std::back_inserter(found.foreign));
  return found;
}

size_t count_of_kind(const lines& table, const std::string& kind) {
  return static_cast<size_t>(std::count_if(
      table.begin(), table.end(), [&kind](const std::string& line) { return line.rfind(kind + '\t', 0) == 0; }));
}

TEST_CASE("wire: the table covers all five reference documents and the services they name") {
  const lines reference = reference_contract();
  CHECK(count_of_kind(reference, "message") == 250);
  CHECK(count_of_kind(reference, "field") == 810);
  CHECK(count_of_kind(reference, "value") == 48);
  CHECK(count_of_kind(reference, "rpc") == 92);
}

TEST_CASE("wire: everything in the reference is compiled with the same name, number, type and label") {
  for (const auto& line : compare(reference_contract(), compiled_contract()).missing) {
    FAIL_CHECK("in the reference, but not compiled like this: ", line);
  }
}

TEST_CASE("wire: what the reference does not have is numbered from 1000 up or lives in weir.v1") {
  for (const auto& line : compare(reference_contract(), compiled_contract()).foreign) {
    FAIL_CHECK("compiled, but not in the reference: ", line);
  }
}

TEST_CASE("wire: the comparison reports a changed number on both sides") {
  const std::string right = "field\twaymaker.streams.PublishRequest\tpayload\t3\tbytes\tsingular";
  const std::string wrong = "field\twaymaker.streams.PublishRequest\tpayload\t9\tbytes\tsingular";
  lines changed = reference_contract();
  REQUIRE(changed.erase(right) == 1);
  changed.insert(wrong);

  const contract_difference found = compare(changed, reference_contract());
  CHECK(found.missing == std::vector<std::string>{wrong});
  CHECK(found.foreign == std::vector<std::string>{right});
}

TEST_CASE("wire: the list of linked files holds every .proto file there is") {
  std::set<std::string> linked;
  for (const auto* file : all_files()) {
    REQUIRE(file != nullptr);
    linked.insert(file->name());
  }
  std::set<std::string> written;
  const std::filesystem::path root = WEIR_PROTO_ROOT;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() == ".proto") written.insert(entry.path().lexically_relative(root).generic_string());
  }
  CHECK(linked == written);
}

TEST_CASE("wire: the list of services holds every service once") {
  const std::vector<std::string> names = all_service_names();
  const std::set<std::string> expected = {
      "galaxy.backend.push.v1.Push",
      "google.bytestream.ByteStream",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "magma.orc8r.Streamer",
      "onos.config.admin.ConfigAdminService",
      "waymaker.collections.WaymakerCollectionsService",
      "waymaker.kv.WaymakerKvService",
      "waymaker.streams.WaymakerStreamsService",
      "weir.v1.Admin",
      "weir.v1.Broker",
      "weir.v1.Peer",
  };
  CHECK(std::set<std::string>(names.begin(), names.end()) == expected);
  CHECK(names.size() == expected.size());
}

// Bytes of `part` can be read as `whole` without a change of meaning. What only `part` has is weir's own addition.
void check_same_numbers(const pb::Descriptor& part, const pb::Descriptor& whole) {
  for (int i = 0; i < part.field_count(); ++i) {
    const auto& field = *part.field(i);
    const auto* twin = whole.FindFieldByNumber(field.number());
    INFO(part.full_name(), " and ", whole.full_name(), ": ", field.name());
    if (twin == nullptr) {
      CHECK(field.number() >= own_numbers_from);
      continue;
    }
    CHECK(twin->name() == field.name());
    CHECK(type_of(*twin) == type_of(field));
    CHECK(label_of(*twin) == label_of(field));
  }
}

TEST_CASE("wire: a record of the fast lane has the numbers of a stored message, a batch those of a fetch") {
  check_same_numbers(*v1::PublishRecord::descriptor(), *waymaker::streams::MessagePb::descriptor());
  check_same_numbers(*v1::ConsumeBatch::descriptor(), *waymaker::streams::FetchResponse::descriptor());
  check_same_numbers(*waymaker::streams::FetchResponse::descriptor(), *v1::ConsumeBatch::descriptor());
  CHECK(v1::PublishBatch::kMessagesFieldNumber == waymaker::streams::FetchResponse::kMessagesFieldNumber);
}

TEST_CASE("wire: what the broker adds to a stored record comes last on the wire, in fixed width, checksum at the end") {
  waymaker::streams::MessagePb record;
  record.set_seq(1);
  record.set_payload("x");
  record.set_deliver_count(1);
  const std::string before = record.SerializeAsString();
  record.set_weir_epoch(1);
  record.set_weir_crc32c(0x04030201);
  const std::string after = record.SerializeAsString();

  const std::string epoch = std::string("\xc1\x3e", 2) + '\x01' + std::string(7, '\0');
  const std::string checksum = "\xcd\x3e\x01\x02\x03\x04";
  CHECK(after == before + epoch + checksum);
}

}  // namespace
}  // namespace weir
