#include "storage/errors.h"

#include <array>

#include "storage/check.h"

namespace weir {
namespace {

// gRPC status numbers (grpc/status.h), spelled out here because storage does not include gRPC.
constexpr int status_invalid_argument = 3;
constexpr int status_not_found = 5;
constexpr int status_already_exists = 6;
constexpr int status_resource_exhausted = 8;
constexpr int status_failed_precondition = 9;
constexpr int status_aborted = 10;
constexpr int status_unimplemented = 12;
constexpr int status_internal = 13;
constexpr int status_unavailable = 14;
constexpr int status_data_loss = 15;

constexpr std::array table = {
    errc_info{errc::internal, "internal", status_internal, retry_advice::unknown},
    errc_info{errc::invalid_config, "invalid_config", status_invalid_argument, retry_advice::after_change},
    errc_info{errc::invalid_argument, "invalid_argument", status_invalid_argument, retry_advice::after_change},
    errc_info{errc::already_exists, "already_exists", status_already_exists, retry_advice::never},
    errc_info{errc::no_such_stream, "no_such_stream", status_not_found, retry_advice::after_change},
    errc_info{errc::no_such_consumer, "no_such_consumer", status_not_found, retry_advice::after_change},
    errc_info{errc::subject_rejected, "subject_rejected", status_invalid_argument, retry_advice::after_change},
    errc_info{errc::oversize, "oversize", status_invalid_argument, retry_advice::after_change},
    errc_info{errc::wrong_revision, "wrong_revision", status_aborted, retry_advice::after_change},
    errc_info{errc::immutable_field, "immutable_field", status_failed_precondition, retry_advice::never},
    errc_info{errc::data_loss, "data_loss", status_data_loss, retry_advice::never},
    errc_info{errc::disk_full, "disk_full", status_resource_exhausted, retry_advice::later},
    errc_info{errc::storage_failed, "storage_failed", status_unavailable, retry_advice::unknown},
    errc_info{errc::resource_exhausted, "resource_exhausted", status_resource_exhausted, retry_advice::later},
    errc_info{errc::unavailable, "unavailable", status_unavailable, retry_advice::unknown},
    errc_info{errc::unimplemented, "unimplemented", status_unimplemented, retry_advice::never},
    errc_info{errc::foreign_directory, "foreign_directory", status_failed_precondition, retry_advice::after_change},
    errc_info{errc::locked, "locked", status_failed_precondition, retry_advice::later},
    errc_info{errc::not_found, "not_found", status_not_found, retry_advice::after_change},
    errc_info{errc::stream_full, "stream_full", status_resource_exhausted, retry_advice::later},
};

}  // namespace

const errc_info& info(errc code) {
  const errc_info& row = table[static_cast<size_t>(code)];
  WEIR_CHECK(row.code == code);  // the table is in the order of the enum
  return row;
}

}  // namespace weir
