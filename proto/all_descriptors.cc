#include "proto/all_descriptors.h"

#include "galaxy/push/v1/push.pb.h"
#include "gnmi/gnmi.pb.h"
#include "google/bytestream/bytestream.pb.h"
#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1/reflection.pb.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"
#include "magma/orc8r/streamer.pb.h"
#include "onos/config/admin/admin.pb.h"
#include "onos/config/change/device/types.pb.h"
#include "onos/config/change/network/types.pb.h"
#include "onos/config/change/types.pb.h"
#include "onos/config/snapshot/device/types.pb.h"
#include "onos/config/snapshot/network/types.pb.h"
#include "onos/config/snapshot/types.pb.h"
#include "waymaker/collections.pb.h"
#include "waymaker/kv.pb.h"
#include "waymaker/streams.pb.h"
#include "weir/v1/admin.pb.h"
#include "weir/v1/broker.pb.h"
#include "weir/v1/peer.pb.h"
#include "weir/v1/types.pb.h"

namespace weir {

std::vector<const google::protobuf::FileDescriptor*> all_files() {
  // The tables are protobuf's internals, but the only symbol that a file with nothing but a service offers.
  const google::protobuf::internal::DescriptorTable* const tables[] = {
      &descriptor_table_galaxy_2fpush_2fv1_2fpush_2eproto,
      &descriptor_table_gnmi_2fgnmi_2eproto,
      &descriptor_table_google_2fbytestream_2fbytestream_2eproto,
      &descriptor_table_grpc_2fhealth_2fv1_2fhealth_2eproto,
      &descriptor_table_grpc_2freflection_2fv1_2freflection_2eproto,
      &descriptor_table_grpc_2freflection_2fv1alpha_2freflection_2eproto,
      &descriptor_table_magma_2forc8r_2fstreamer_2eproto,
      &descriptor_table_onos_2fconfig_2fadmin_2fadmin_2eproto,
      &descriptor_table_onos_2fconfig_2fchange_2fdevice_2ftypes_2eproto,
      &descriptor_table_onos_2fconfig_2fchange_2fnetwork_2ftypes_2eproto,
      &descriptor_table_onos_2fconfig_2fchange_2ftypes_2eproto,
      &descriptor_table_onos_2fconfig_2fsnapshot_2fdevice_2ftypes_2eproto,
      &descriptor_table_onos_2fconfig_2fsnapshot_2fnetwork_2ftypes_2eproto,
      &descriptor_table_onos_2fconfig_2fsnapshot_2ftypes_2eproto,
      &descriptor_table_waymaker_2fcollections_2eproto,
      &descriptor_table_waymaker_2fkv_2eproto,
      &descriptor_table_waymaker_2fstreams_2eproto,
      &descriptor_table_weir_2fv1_2fadmin_2eproto,
      &descriptor_table_weir_2fv1_2fbroker_2eproto,
      &descriptor_table_weir_2fv1_2fpeer_2eproto,
      &descriptor_table_weir_2fv1_2ftypes_2eproto,
  };
  std::vector<const google::protobuf::FileDescriptor*> files;
  for (const auto* table : tables) {
    files.push_back(google::protobuf::DescriptorPool::generated_pool()->FindFileByName(table->filename));
  }
  return files;
}

std::vector<std::string> all_service_names() {
  std::vector<std::string> names;
  for (const auto* file : all_files()) {
    for (int i = 0; i < file->service_count(); ++i) names.push_back(file->service(i)->full_name());
  }
  return names;
}

}  // namespace weir
