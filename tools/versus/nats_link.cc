#include "tools/versus/nats_link.h"

#include "tools/load/bench_report.h"

namespace weir {

void must_be_ok(natsStatus status, const char* what) {
  if (status != NATS_OK) stop_bench(std::string("nats: ") + what + ": " + natsStatus_GetText(status));
}

nats_link::nats_link(const std::string& server, bool send_at_once) {
  natsOptions* settings = nullptr;
  must_be_ok(natsOptions_Create(&settings), "options");
  must_be_ok(natsOptions_SetURL(settings, ("nats://" + server).c_str()), "options");
  must_be_ok(natsOptions_SetSendAsap(settings, send_at_once), "options");
  must_be_ok(natsConnection_Connect(&connection_, settings), "connect");
  natsOptions_Destroy(settings);
}

nats_link::~nats_link() {
  jsCtx_Destroy(stream_);
  natsConnection_Destroy(connection_);
}

void nats_link::open(jsOptions& settings) {
  settings.Wait = nats_answer_ms_max;
  must_be_ok(natsConnection_JetStream(&stream_, connection_, &settings), "JetStream");
}

void nats_link::open() {
  jsOptions settings;
  must_be_ok(jsOptions_Init(&settings), "options");
  open(settings);
}

}  // namespace weir
