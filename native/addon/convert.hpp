// Conversions of JavaScript values to plain data. They check only what memory safety needs: types, lengths and ranges
// that native code indexes with. Messages are for the callers in lib/, which have already checked what users passed.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "network/plan/graph.hpp"

namespace deepzero {

inline constexpr std::int64_t kMaxSafeInteger = (std::int64_t{1} << 53) - 1;

// An error with code DEEPZERO_INVALID_ARGUMENT.
Napi::Error invalidArgument(Napi::Env env, const std::string& message);

// The message "Expected <what> to be <constraint>" as an invalidArgument.
Napi::Error expected(Napi::Env env, const std::string& what, const std::string& constraint);

inline constexpr const char* kNativeCode = "DEEPZERO_NATIVE";

// The message of an error, for users.
std::string messageOf(const std::exception& error);

// An error with code DEEPZERO_NATIVE.
Napi::Error nativeError(Napi::Env env, const std::exception& error);

// Throws invalidArgument unless the value is an integer from `low` to `high`.
std::int64_t toInteger(Napi::Value value, const std::string& what, std::int64_t low, std::int64_t high);

Napi::Object toObject(Napi::Value value, const std::string& what);
int toInt(Napi::Object from, const char* key, int low);
double toFinite(Napi::Object from, const char* key);
bool toBoolean(Napi::Object from, const char* key);

inline constexpr int kMaxThreads = 1024;
int toThreads(Napi::Object from);

// The meaning of a name in a list of names and meanings.
template <typename T>
T toChoice(Napi::Value value, const char* what, std::initializer_list<std::pair<const char*, T>> choices) {
  std::string names;
  for (const auto& [name, meaning] : choices) {
    if (value.IsString() && value.As<Napi::String>().Utf8Value() == name) return meaning;
    names.append(names.empty() ? "" : ", ").append(name);
  }
  throw expected(value.Env(), what, "one of " + names);
}

template <typename T>
T toChoice(Napi::Object from, const char* key, std::initializer_list<std::pair<const char*, T>> choices) {
  return toChoice(from.Get(key), key, choices);
}

// Node-API's name of the element type of a typed array.
template <typename T>
inline constexpr napi_typedarray_type kElementType = napi_float32_array;
template <>
inline constexpr napi_typedarray_type kElementType<std::int32_t> = napi_int32_array;
template <>
inline constexpr napi_typedarray_type kElementType<std::uint32_t> = napi_uint32_array;
template <>
inline constexpr napi_typedarray_type kElementType<double> = napi_float64_array;

// A typed array of a property, not yet read.
template <typename T>
Napi::TypedArrayOf<T> toTypedArrayOf(Napi::Object from, const char* key) {
  const Napi::Value value = from.Get(key);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != kElementType<T>) {
    throw expected(from.Env(), key, "a typed array of the right type");
  }
  return value.As<Napi::TypedArrayOf<T>>();
}

Graph toGraph(Napi::Value input, Napi::Value operations);

}  // namespace deepzero
