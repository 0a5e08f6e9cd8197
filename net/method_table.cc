#include "net/method_table.h"

#include <array>

namespace weir {
namespace {

// A request may be this large: what carries payloads (the limit of the transport holds), what carries a configuration
// or a batch of numbers, what carries a name.
constexpr size_t large = SIZE_MAX;
constexpr size_t medium = 256u << 10;
constexpr size_t small = 16u << 10;

using enum call_shape;
using enum permission;

// One row a line, so that it reads as the table it is.
// clang-format off
constexpr method_row table[] = {
    // galaxy.backend.push.v1.Push
    {"/galaxy.backend.push.v1.Push/SubscribePush", server_stream, consume, medium, "the push channel"},
    // google.bytestream.ByteStream
    {"/google.bytestream.ByteStream/Read", server_stream, consume, medium, "byte streams of objects"},
    {"/google.bytestream.ByteStream/Write", client_stream, publish, large, "byte streams of objects"},
    {"/google.bytestream.ByteStream/QueryWriteStatus", unary, consume, medium, "byte streams of objects"},
    // grpc.health.v1.Health
    {"/grpc.health.v1.Health/Check", unary, open, small, "health"},
    {"/grpc.health.v1.Health/Watch", server_stream, open, small, "health"},
    // grpc.reflection.v1.ServerReflection
    {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", bidi, open, small, "reflection"},
    // grpc.reflection.v1alpha.ServerReflection
    {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", bidi, open, small, "reflection"},
    // magma.orc8r.Streamer
    {"/magma.orc8r.Streamer/GetUpdates", server_stream, consume, medium, "config distribution"},
    // onos.config.admin.ConfigAdminService
    {"/onos.config.admin.ConfigAdminService/UploadRegisterModel", client_stream, admin, large, "config admin"},
    {"/onos.config.admin.ConfigAdminService/ListRegisteredModels", server_stream, consume, medium, "config admin"},
    {"/onos.config.admin.ConfigAdminService/RollbackNetworkChange", unary, admin, medium, "config admin"},
    {"/onos.config.admin.ConfigAdminService/ListSnapshots", server_stream, consume, medium, "config admin"},
    {"/onos.config.admin.ConfigAdminService/CompactChanges", unary, admin, medium, "config admin"},
    // waymaker.collections.WaymakerCollectionsService
    {"/waymaker.collections.WaymakerCollectionsService/CreateHashStore", unary, manage_stream, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/DeleteHashStore", unary, manage_stream, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/HashSet", unary, publish, large, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/HashGet", unary, consume, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/HashExists", unary, consume, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/HashDelete", unary, publish, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/HashGetAll", unary, consume, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/HashFields", unary, consume, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/HashLen", unary, consume, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/CreateSetStore", unary, manage_stream, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/DeleteSetStore", unary, manage_stream, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/SetAdd", unary, publish, large, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/SetRemove", unary, publish, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/SetIsMember", unary, consume, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/SetMembers", unary, consume, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/SetLen", unary, consume, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/CreateQueue", unary, manage_stream, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/DeleteQueue", unary, manage_stream, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/QueuePush", unary, publish, large, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/QueuePop", unary, publish, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/QueueRange", unary, consume, medium, "collections"},
    {"/waymaker.collections.WaymakerCollectionsService/QueueLen", unary, consume, medium, "collections"},
    // waymaker.kv.WaymakerKvService
    {"/waymaker.kv.WaymakerKvService/CreateBucket", unary, manage_stream, medium, "key-value buckets"},
    {"/waymaker.kv.WaymakerKvService/DeleteBucket", unary, manage_stream, medium, "key-value buckets"},
    {"/waymaker.kv.WaymakerKvService/Put", unary, publish, large, "key-value buckets"},
    {"/waymaker.kv.WaymakerKvService/Create", unary, publish, large, "key-value buckets"},
    {"/waymaker.kv.WaymakerKvService/Update", unary, publish, large, "key-value buckets"},
    {"/waymaker.kv.WaymakerKvService/Get", unary, consume, medium, "key-value buckets"},
    {"/waymaker.kv.WaymakerKvService/Delete", unary, publish, medium, "key-value buckets"},
    {"/waymaker.kv.WaymakerKvService/Keys", unary, consume, medium, "key-value buckets"},
    {"/waymaker.kv.WaymakerKvService/History", unary, consume, medium, "key-value buckets"},
    {"/waymaker.kv.WaymakerKvService/Touch", unary, publish, medium, "key-value buckets"},
    {"/waymaker.kv.WaymakerKvService/Watch", server_stream, consume, medium, "key-value buckets"},
    // waymaker.streams.WaymakerStreamsService
    {"/waymaker.streams.WaymakerStreamsService/CreateStream", unary, manage_stream, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/DeleteStream", unary, manage_stream, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/GetStreamInfo", unary, consume, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/ListStreams", unary, consume, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/GetStreamSources", unary, admin, medium, "stream sources"},
    {"/waymaker.streams.WaymakerStreamsService/UpdateStream", unary, manage_stream, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/Publish", unary, publish, large, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/Fetch", unary, consume, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/Ack", unary, consume, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/Nak", unary, consume, medium, "nak, term and in-progress"},
    {"/waymaker.streams.WaymakerStreamsService/Term", unary, consume, medium, "nak, term and in-progress"},
    {"/waymaker.streams.WaymakerStreamsService/InProgress", unary, consume, medium, "nak, term and in-progress"},
    {"/waymaker.streams.WaymakerStreamsService/Subscribe", server_stream, consume, medium, "push delivery"},
    {"/waymaker.streams.WaymakerStreamsService/CreateConsumer", unary, manage_consumer, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/DeleteConsumer", unary, manage_consumer, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/ListConsumers", unary, consume, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/GetConsumerInfo", unary, consume, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/TransferStream", server_stream, peer, medium, "replication"},
    {"/waymaker.streams.WaymakerStreamsService/MigrateStream", unary, admin, medium, "clusters"},
    {"/waymaker.streams.WaymakerStreamsService/GetClusterStreamStats", unary, admin, medium, "clusters"},
    {"/waymaker.streams.WaymakerStreamsService/WatchStreams", server_stream, admin, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/ReadLatestAtSubject", unary, consume, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/ListSubjectsByPrefix", unary, consume, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/ScanExactAtSubject", unary, consume, medium, "streams"},
    {"/waymaker.streams.WaymakerStreamsService/ClearStreamAuthority", unary, admin, medium, "clusters"},
    {"/waymaker.streams.WaymakerStreamsService/ListStreamAuthorityOverrides", unary, admin, medium, "clusters"},
    {"/waymaker.streams.WaymakerStreamsService/SetStreamPinned", unary, admin, medium, "clusters"},
    {"/waymaker.streams.WaymakerStreamsService/PutObject", unary, publish, large, "the object store"},
    {"/waymaker.streams.WaymakerStreamsService/GetObject", unary, consume, medium, "the object store"},
    {"/waymaker.streams.WaymakerStreamsService/DeleteObject", unary, publish, medium, "the object store"},
    {"/waymaker.streams.WaymakerStreamsService/GetObjectInfo", unary, consume, medium, "the object store"},
    {"/waymaker.streams.WaymakerStreamsService/ListObjects", unary, consume, medium, "the object store"},
    {"/waymaker.streams.WaymakerStreamsService/PutObjectStream", client_stream, publish, large, "the object store"},
    {"/waymaker.streams.WaymakerStreamsService/GetObjectStream", server_stream, consume, medium, "the object store"},
    {"/waymaker.streams.WaymakerStreamsService/ListObjectRevisions", unary, consume, medium, "the object store"},
    {"/waymaker.streams.WaymakerStreamsService/GetObjectRange", unary, consume, medium, "the object store"},
    {"/waymaker.streams.WaymakerStreamsService/RebalanceStreams", unary, admin, medium, "clusters"},
    {"/waymaker.streams.WaymakerStreamsService/ReplicateConsumerState", unary, peer, large, "replication"},
    {"/waymaker.streams.WaymakerStreamsService/ReplicateSourceTailState", unary, peer, medium, "replication"},
    {"/waymaker.streams.WaymakerStreamsService/ReplicateStreamCreate", unary, peer, medium, "replication"},
    {"/waymaker.streams.WaymakerStreamsService/ReplicateMessage", unary, peer, large, "replication"},
    {"/waymaker.streams.WaymakerStreamsService/ReplicateStreamDelete", unary, peer, medium, "replication"},
    {"/waymaker.streams.WaymakerStreamsService/ReplicateTruncate", unary, peer, medium, "replication"},
    {"/waymaker.streams.WaymakerStreamsService/ReplicateStreamUpdate", unary, peer, medium, "replication"},
    {"/waymaker.streams.WaymakerStreamsService/ReplicateWorkQueueAck", unary, peer, medium, "replication"},
    // weir.v1.Admin
    {"/weir.v1.Admin/GetMessage", unary, consume, medium, "stream and consumer administration"},
    {"/weir.v1.Admin/DeleteMessage", unary, admin, medium, "stream and consumer administration"},
    {"/weir.v1.Admin/Purge", unary, admin, medium, "stream and consumer administration"},
    {"/weir.v1.Admin/ListParked", unary, admin, medium, "stream and consumer administration"},
    {"/weir.v1.Admin/RequeueParked", unary, admin, medium, "stream and consumer administration"},
    {"/weir.v1.Admin/PurgeParked", unary, admin, medium, "stream and consumer administration"},
    {"/weir.v1.Admin/PauseConsumer", unary, manage_consumer, medium, "stream and consumer administration"},
    {"/weir.v1.Admin/ResetConsumer", unary, manage_consumer, medium, "stream and consumer administration"},
    {"/weir.v1.Admin/UpdateConsumer", unary, manage_consumer, medium, "stream and consumer administration"},
    {"/weir.v1.Admin/AckMany", unary, consume, medium, "stream and consumer administration"},
    // weir.v1.Broker
    {"/weir.v1.Broker/PublishAll", unary, publish, large, "atomic publish"},
    {"/weir.v1.Broker/Publish", bidi, publish, large, "the fast lane"},
    {"/weir.v1.Broker/Consume", bidi, consume, medium, "the fast lane"},
    // weir.v1.Peer
    {"/weir.v1.Peer/Handshake", unary, peer, medium, "clusters"},
};
// clang-format on

constexpr std::array<std::string_view, 7> permission_names = {"open",          "publish", "consume", "manage_consumer",
                                                              "manage_stream", "admin",   "peer"};

}  // namespace

std::string_view to_string(permission needed) {
  return permission_names[static_cast<size_t>(needed)];
}

std::span<const method_row> method_table() {
  return table;
}

}  // namespace weir
