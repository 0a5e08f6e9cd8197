#include "net/parse_fault.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <optional>

#include "storage/utf8.h"

namespace weir {
namespace {

namespace pb = google::protobuf;
using wire = pb::internal::WireFormatLite;

constexpr int depth_max = 100;

std::optional<std::string> fault_in(pb::io::CodedInputStream& in, const pb::Descriptor& type, int depth);

// A length-delimited field: text must be UTF-8, messages must parse.
std::optional<std::string> fault_in_field(pb::io::CodedInputStream& in, const pb::FieldDescriptor* field, int depth) {
  std::string content;
  uint32_t size = 0;
  std::string where = field != nullptr ? "field '" + field->name() + "'" : std::string("an unknown field");
  if (!in.ReadVarint32(&size) || size > static_cast<uint32_t>(in.BytesUntilTotalBytesLimit()) ||
      !in.ReadString(&content, static_cast<int>(size))) {
    return where + " ends too early";
  }
  if (field == nullptr) return std::nullopt;
  if (field->type() == pb::FieldDescriptor::TYPE_STRING && !is_utf8(content)) return where + " is not valid UTF-8";
  if (field->type() == pb::FieldDescriptor::TYPE_MESSAGE) {
    pb::io::CodedInputStream inner(reinterpret_cast<const uint8_t*>(content.data()), static_cast<int>(content.size()));
    if (auto fault = fault_in(inner, *field->message_type(), depth + 1)) return where + ": " + *fault;
  }
  return std::nullopt;
}

std::optional<std::string> fault_in(pb::io::CodedInputStream& in, const pb::Descriptor& type, int depth) {
  if (depth > depth_max) return "nested too deeply";
  while (uint32_t tag = in.ReadTag()) {
    int number = wire::GetTagFieldNumber(tag);
    if (number == 0) return "field number 0";
    const pb::FieldDescriptor* field = type.FindFieldByNumber(number);
    if (wire::GetTagWireType(tag) == wire::WIRETYPE_LENGTH_DELIMITED) {
      if (auto fault = fault_in_field(in, field, depth)) return fault;
    } else if (!wire::SkipField(&in, tag)) {
      return field != nullptr ? "field '" + field->name() + "' ends too early" : std::string("an unknown field is cut");
    }
  }
  if (!in.ConsumedEntireMessage()) return "bytes that are no field";
  return std::nullopt;
}

}  // namespace

std::string parse_fault(byte_span bytes, const google::protobuf::Descriptor& expected) {
  std::string sentence = "the request does not parse as " + expected.full_name();
  pb::io::CodedInputStream in(bytes.data(), static_cast<int>(bytes.size()));
  if (auto fault = fault_in(in, expected, 0)) sentence += ": " + *fault;
  return sentence;
}

}  // namespace weir
