#!/usr/bin/python3
"""Writes contract.tsv, the table that contract_test.cc compares with the compiled descriptors.

    extract_contract.py 000.txt 001.txt 002.txt 003.txt 004.txt > contract.tsv

Reads the reference documents themselves and never our .proto files, so that the two can disagree. 000 to 003 are .proto
text that went through a browser: 000 lost its closing braces, 001 and 002 have a " |" line after every line. 004 is a
rendered page without field numbers. What no document holds is transcribed by hand at the end of this file and marked so.

Rows, tab-separated, sorted:

    message  full name
    field    message, name, number, type (scalar name, or full name of message or enum), label
    value    enum, name, number
    rpc      service, method, request, response, client streaming, server streaming

The label is singular, optional (proto3 presence), repeated, or oneof:NAME.
"""
import re
import sys

SCALARS = {"double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
           "sfixed64", "bool", "string", "bytes"}


class Table:
    """Rows as they are found; short type names are made full at the end, when every name is known."""

    def __init__(self):
        self.messages = set()
        self.enums = {}
        self.fields = []
        self.rpcs = []

    def full_name(self, name, package):
        if name in SCALARS:
            return name
        if name.startswith("."):
            return name[1:]
        known = self.messages | set(self.enums)
        scopes = package.split(".")
        for depth in range(len(scopes), -1, -1):
            candidate = ".".join(scopes[:depth] + [name])
            if candidate in known or candidate.startswith("google.protobuf."):
                return candidate
        raise SystemExit(f"unknown type {name} in {package}")

    def rows(self):
        for message in self.messages:
            yield ("message", message)
        for scope, name, number, kind, label in self.fields:
            if scope not in self.messages:
                raise SystemExit(f"field of unknown message {scope}")
            yield ("field", scope, name, str(number), self.full_name(kind, scope), label)
        for enum, values in self.enums.items():
            for name, number in values:
                yield ("value", enum, name, str(number))
        for service, method, request, response, client, server in self.rpcs:
            package = service.rpartition(".")[0]
            yield ("rpc", service, method, self.full_name(request, package), self.full_name(response, package),
                   "true" if client else "false", "true" if server else "false")


# --- 000 to 003: .proto text -------------------------------------------------------------------------------------------


def proto_text(page):
    """The .proto part of a saved page, without comments."""
    lines = [line for line in page.splitlines() if line.strip() != "|"]
    text = "\n".join(lines)
    text = text[text.index('syntax = "proto3";'):]
    return re.sub(r"//[^\n]*", "", text)


def read_proto(table, page):
    text = proto_text(page)
    tokens = re.findall(r'"[^"]*"|[\w.]+|[{}();=,]', text)
    braces_lost = tokens.count("{") != tokens.count("}")
    package = None
    scopes = []  # (keyword, full name) of the braces that are open
    i = 0

    def expect(*wanted):
        nonlocal i
        for token in wanted:
            if tokens[i] != token:
                raise SystemExit(f"{token} expected, found {' '.join(tokens[i - 5:i + 5])}")
            i += 1

    def take():
        nonlocal i
        i += 1
        return tokens[i - 1]

    while i < len(tokens):
        token = take()
        if token in ("syntax", "import", "option"):
            while take() != ";":
                pass
        elif token == "package":
            package = take()
            expect(";")
        elif token in ("message", "enum", "service"):
            if braces_lost:
                scopes = []
            if scopes:
                raise SystemExit(f"{token} {tokens[i]} inside {scopes[-1]}: this reader knows no nested types")
            name = f"{package}.{take()}"
            expect("{")
            scopes.append((token, name))
            if token == "message":
                table.messages.add(name)
            elif token == "enum":
                table.enums[name] = []
        elif token == "oneof":
            scopes.append(("oneof", take()))
            expect("{")
        elif token == "}":
            scopes.pop()
        elif token == "rpc" and scopes[-1][0] == "service":
            method = take()
            sides = []
            for opener in ((), ("returns",)):
                expect(*opener, "(")
                streams = tokens[i] == "stream"
                if streams:
                    take()
                sides.append((take(), streams))
                expect(")")
            if take() == "{":
                expect("}")
            table.rpcs.append((scopes[-1][1], method, sides[0][0], sides[1][0], sides[0][1], sides[1][1]))
        elif scopes[-1][0] == "enum":
            expect("=")
            table.enums[scopes[-1][1]].append((token, int(take())))
            expect(";")
        else:
            label = "singular"
            if token in ("optional", "repeated"):
                label, token = token, take()
            if scopes[-1][0] == "oneof":
                label = "oneof:" + scopes[-1][1]
            name = take()
            expect("=")
            number = int(take())
            expect(";")
            message = [full for keyword, full in scopes if keyword == "message"][-1]
            table.fields.append((message, name, number, token, label))
    if scopes and not braces_lost:
        raise SystemExit(f"{scopes[-1]} never ends")


# --- 004: a rendered page ----------------------------------------------------------------------------------------------


def read_page(table, page, package, numbers):
    """Names, types, labels and methods come from the page, numbers from the caller; both must name the same fields."""
    lines = [line.strip() for line in page.splitlines() if line.strip()]
    lines = lines[:lines.index("Scalar Value Types")]
    heading = re.compile(r"^[A-Z]\w*$")
    numbers = dict(numbers)
    kind = name = None
    for line in lines:
        if heading.match(line) and line != "Top":
            kind, name = None, f"{package}.{line}"
            described = False
        elif line.startswith("Field Type Label Description"):
            kind = "message"
            table.messages.add(name)
        elif line.startswith("Name Number Description"):
            kind = "enum"
            table.enums[name] = []
        elif line.startswith("Method Name Request Type"):
            kind = "service"
        elif kind == "message":
            field, field_type, *rest = line.split()
            label = "repeated" if rest[:1] == ["repeated"] else "singular"
            table.fields.append((name, field, numbers.pop((name, field)), field_type, label))
        elif kind == "enum":
            value, number = line.split()[:2]
            table.enums[name].append((value, int(number)))
        elif kind == "service":
            method, request, *rest = line.split()
            client = rest[0] == "stream"
            rest = rest[client:]
            server = rest[1] == "stream"
            table.rpcs.append((name, method, request, rest[0], client, server))
        elif name and not described:
            described = True
            if line.startswith(name.rpartition(".")[2] + " is a response"):  # a message without fields has no table
                table.messages.add(name)
    if numbers:
        raise SystemExit(f"numbers of fields that the page does not have: {sorted(numbers)}")


# --- By hand: what no reference document holds -------------------------------------------------------------------------
# One line a type: "package.Message: type name number, ...". A type may be preceded by `repeated` or `oneof:NAME`.


def read_hand(table, text):
    for line in filter(None, (line.strip() for line in text.splitlines())):
        head, _, body = line.partition(":")
        keyword, name = head.split()
        if keyword == "rpc":
            method, sides = body.strip().split(" ", 1)
            request, response = sides.split(" -> ")
            table.rpcs.append((name, method, request.split()[-1], response.split()[-1], request.startswith("stream "),
                               response.startswith("stream ")))
            continue
        items = [item.split() for item in body.split(",") if item.strip()]
        if keyword == "enum":
            table.enums[name] = [(value, int(number)) for value, number in items]
            continue
        table.messages.add(name)
        for item in items:
            label = item.pop(0) if len(item) == 4 else "singular"
            table.fields.append((name, item[1], int(item[2]), item[0], label))


# Field numbers of 004's own messages (field notes, section 3.4).
ADMIN_NUMBERS = """
ReadOnlySubPath sub_path 1 value_type 2
ReadOnlyPath path 1 sub_path 2
ReadWritePath path 1 value_type 2 units 3 description 4 mandatory 5 default 6 range 7 length 8
ModelInfo name 1 version 2 model_data 3 module 4 getStateMode 5 read_only_path 7 read_write_path 8
Chunk so_file 1 content 2
RegisterResponse name 1 version 2
ListModelsRequest verbose 1 model_name 2 model_version 3
RollbackRequest name 1 comment 2
RollbackResponse message 1
ListSnapshotsRequest subscribe 1 id 2
CompactChangesRequest retention_period 1
"""

# Messages that 004 refers to (field notes, section 3.4).
REFERRED = """
message gnmi.ModelData: string name 1, string organization 2, string version 3

message onos.config.change.Status: Phase phase 1, State state 2, Reason reason 3, string message 4, uint64 incarnation 5
enum onos.config.change.Phase: CHANGE 0, ROLLBACK 1
enum onos.config.change.State: PENDING 0, COMPLETE 2, FAILED 3
enum onos.config.change.Reason: NONE 0, ERROR 1

enum onos.config.change.device.ValueType: EMPTY 0, STRING 1, INT 2, UINT 3, BOOL 4, DECIMAL 5, FLOAT 6, BYTES 7, LEAFLIST_STRING 8, LEAFLIST_INT 9, LEAFLIST_UINT 10, LEAFLIST_BOOL 11, LEAFLIST_DECIMAL 12, LEAFLIST_FLOAT 13, LEAFLIST_BYTES 14
message onos.config.change.device.TypedValue: bytes bytes 1, ValueType type 2, repeated int32 type_opts 3
message onos.config.change.device.PathValue: string path 1, TypedValue value 2
message onos.config.change.device.ChangeValue: string path 1, TypedValue value 2, bool removed 3
message onos.config.change.device.Change: string device_id 1, string device_version 2, string device_type 3, repeated ChangeValue values 4
message onos.config.change.device.NetworkChangeRef: string id 1, uint64 index 2
message onos.config.change.device.DeviceChange: string id 1, uint64 index 2, uint64 revision 3, NetworkChangeRef network_change 4, Change change 5, onos.config.change.Status status 6, google.protobuf.Timestamp created 7, google.protobuf.Timestamp updated 8

message onos.config.change.network.DeviceChangeRef: string device_change_id 1
message onos.config.change.network.NetworkChange: string id 1, uint64 index 2, uint64 revision 3, onos.config.change.Status status 4, google.protobuf.Timestamp created 5, google.protobuf.Timestamp updated 6, repeated onos.config.change.device.Change changes 7, repeated DeviceChangeRef refs 8, bool deleted 9

message onos.config.snapshot.Status: Phase phase 1, State state 2
enum onos.config.snapshot.Phase: MARK 0, DELETE 1
enum onos.config.snapshot.State: PENDING 0, RUNNING 1, COMPLETE 2
message onos.config.snapshot.RetentionOptions: google.protobuf.Duration retain_window 1

message onos.config.snapshot.device.NetworkSnapshotRef: string id 1, uint64 index 2
message onos.config.snapshot.device.DeviceSnapshot: string id 1, string device_id 2, string device_version 3, string device_type 4, uint64 revision 5, NetworkSnapshotRef network_snapshot 6, uint64 max_network_change_index 7, onos.config.snapshot.Status status 8, google.protobuf.Timestamp created 9, google.protobuf.Timestamp updated 10
message onos.config.snapshot.device.Snapshot: string id 1, string device_id 2, string device_version 3, string device_type 4, string snapshot_id 5, uint64 change_index 6, repeated onos.config.change.device.PathValue values 7

message onos.config.snapshot.network.DeviceSnapshotRef: string device_snapshot_id 1
message onos.config.snapshot.network.NetworkSnapshot: string id 1, uint64 index 2, uint64 revision 3, onos.config.snapshot.Status status 4, onos.config.snapshot.RetentionOptions retention 6, google.protobuf.Timestamp created 8, google.protobuf.Timestamp updated 9, repeated DeviceSnapshotRef refs 10
"""

# Services that 003 names without listing them (DESIGN, section 5): request and response are METHODRequest and
# METHODResponse of waymaker.streams, with a prefix, unless said otherwise.
KV_SERVICE = "waymaker.kv.WaymakerKvService"
KV_METHODS = "CreateBucket DeleteBucket Put Create Update Get Delete Keys History Touch Watch"
KV_RESPONSES = {"Create": "KvPutResponse", "Update": "KvPutResponse", "Touch": "KvPutResponse", "Watch": "KvWatchEvent"}
COLLECTIONS_SERVICE = "waymaker.collections.WaymakerCollectionsService"
COLLECTIONS_METHODS = """
CreateHashStore DeleteHashStore HashSet HashGet HashExists HashDelete HashGetAll HashFields HashLen
CreateSetStore DeleteSetStore SetAdd SetRemove SetIsMember SetMembers SetLen
CreateQueue DeleteQueue QueuePush QueuePop QueueRange QueueLen
"""

# gRPC's own protocols, public facts: health, and reflection, which exists twice with the same content.
HEALTH = """
message grpc.health.v1.HealthCheckRequest: string service 1
message grpc.health.v1.HealthCheckResponse: grpc.health.v1.HealthCheckResponse.ServingStatus status 1
enum grpc.health.v1.HealthCheckResponse.ServingStatus: UNKNOWN 0, SERVING 1, NOT_SERVING 2, SERVICE_UNKNOWN 3
rpc grpc.health.v1.Health: Check HealthCheckRequest -> HealthCheckResponse
rpc grpc.health.v1.Health: Watch HealthCheckRequest -> stream HealthCheckResponse
"""
REFLECTION = """
message PACKAGE.ServerReflectionRequest: string host 1, oneof:message_request string file_by_filename 3, oneof:message_request string file_containing_symbol 4, oneof:message_request ExtensionRequest file_containing_extension 5, oneof:message_request string all_extension_numbers_of_type 6, oneof:message_request string list_services 7
message PACKAGE.ExtensionRequest: string containing_type 1, int32 extension_number 2
message PACKAGE.ServerReflectionResponse: string valid_host 1, ServerReflectionRequest original_request 2, oneof:message_response FileDescriptorResponse file_descriptor_response 4, oneof:message_response ExtensionNumberResponse all_extension_numbers_response 5, oneof:message_response ListServiceResponse list_services_response 6, oneof:message_response ErrorResponse error_response 7
message PACKAGE.FileDescriptorResponse: repeated bytes file_descriptor_proto 1
message PACKAGE.ExtensionNumberResponse: string base_type_name 1, repeated int32 extension_number 2
message PACKAGE.ListServiceResponse: repeated ServiceResponse service 1
message PACKAGE.ServiceResponse: string name 1
message PACKAGE.ErrorResponse: int32 error_code 1, string error_message 2
rpc PACKAGE.ServerReflection: ServerReflectionInfo stream ServerReflectionRequest -> stream ServerReflectionResponse
"""


def read_all_by_hand(table):
    for method in KV_METHODS.split():
        response = KV_RESPONSES.get(method, f"Kv{method}Response")
        table.rpcs.append((KV_SERVICE, method, f".waymaker.streams.Kv{method}Request", f".waymaker.streams.{response}",
                           False, method == "Watch"))
    for method in COLLECTIONS_METHODS.split():
        table.rpcs.append((COLLECTIONS_SERVICE, method, f".waymaker.streams.{method}Request",
                           f".waymaker.streams.{method}Response", False, False))
    read_hand(table, REFERRED)
    read_hand(table, HEALTH)
    read_hand(table, REFLECTION.replace("PACKAGE", "grpc.reflection.v1"))
    read_hand(table, REFLECTION.replace("PACKAGE", "grpc.reflection.v1alpha"))


def admin_numbers(package):
    for line in filter(None, ADMIN_NUMBERS.splitlines()):
        message, *pairs = line.split()
        for name, number in zip(pairs[::2], pairs[1::2]):
            yield (f"{package}.{message}", name), int(number)


def main(paths):
    if len(paths) != 5:
        raise SystemExit(__doc__)
    pages = [open(path, encoding="utf-8").read() for path in paths]
    table = Table()
    for page in pages[:4]:
        read_proto(table, page)
    read_page(table, pages[4], "onos.config.admin", admin_numbers("onos.config.admin"))
    read_all_by_hand(table)
    for row in sorted(set(table.rows())):
        print("\t".join(row))


if __name__ == "__main__":
    main(sys.argv[1:])
