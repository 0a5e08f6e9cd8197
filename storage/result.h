// result<T>: a value, or the error a caller can meet. Errors are values; no exception crosses a room.
//
// A broken invariant is not an error but a bug: storage/check.h. The codes and what each means to a client stand in one
// table, storage/errors.h.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "storage/check.h"
#include "storage/errors.h"

namespace weir {

// What went wrong, for a person and for a program. `detail` is a number the wire contract asks for beside the code
// (wrong_revision: the current sequence); 0 where there is none.
struct error {
  errc code = errc::internal;
  std::string message;
  uint64_t detail = 0;
};

// Holds a T or an error. Reading the wrong side is a bug and stops the process.
template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;

  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(error failure) : state_(std::in_place_index<1>, std::move(failure)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() & {
    WEIR_CHECK(state_.index() == 0);
    return *std::get_if<0>(&state_);
  }
  const T& operator*() const& {
    WEIR_CHECK(state_.index() == 0);
    return *std::get_if<0>(&state_);
  }
  T&& operator*() && {
    WEIR_CHECK(state_.index() == 0);
    return std::move(*std::get_if<0>(&state_));
  }
  T* operator->() { return &**this; }
  const T* operator->() const { return &**this; }

  const error& err() const& {
    WEIR_CHECK(state_.index() == 1);
    return *std::get_if<1>(&state_);
  }
  error&& err() && {
    WEIR_CHECK(state_.index() == 1);
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, error> state_;
};

// Success without a value: `return ok();`
template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;

  result() = default;
  result(error failure) : failure_(std::move(failure)) {}

  explicit operator bool() const { return !failure_.has_value(); }
  const error& err() const& {
    WEIR_CHECK(failure_.has_value());
    return *failure_;
  }
  error&& err() && {
    WEIR_CHECK(failure_.has_value());
    return std::move(*failure_);
  }

 private:
  std::optional<error> failure_;
};

inline result<void> ok() {
  return {};
}

inline error fail(errc code, std::string message, uint64_t detail = 0) {
  return error{code, std::move(message), detail};
}

}  // namespace weir
