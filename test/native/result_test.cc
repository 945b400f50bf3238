#include "base/result.h"

#include <cerrno>
#include <memory>
#include <set>
#include <string>

#include "test.h"

namespace paipai {
namespace {

Result<int> Half(int number) {
  if (number % 2 != 0) return Error::Of(ErrorCode::INVALID_ARGUMENT);
  return number / 2;
}

void HoldsAValueOrAnError() {
  const Result<int> good = Half(4);
  CHECK(good.has_value());
  CHECK(static_cast<bool>(good));
  CHECK_EQUAL(*good, 2);
  CHECK_EQUAL(good.value_or(9), 2);

  const Result<int> bad = Half(3);
  CHECK(!bad.has_value());
  CHECK(bad.error().Is(ErrorCode::INVALID_ARGUMENT));
  CHECK_EQUAL(bad.value_or(9), 9);
}

void ErrorsTravelAsOneNumber() {
  CHECK_EQUAL(Error::System(ECONNREFUSED).result(), -ECONNREFUSED);
  CHECK_EQUAL(Error::Of(ErrorCode::FRAME_MAGIC).result(), -10010);
  CHECK(Error::System(EPIPE).is_system());
  CHECK(!Error::Of(ErrorCode::INVALID_ARGUMENT).is_system());
  CHECK(Error::System(EPIPE) == Error::System(EPIPE));
  CHECK(Error::System(EPIPE) != Error::System(ENOENT));
  CHECK(!Error::System(1).Is(ErrorCode::INVALID_ARGUMENT));
}

void ValuesThatOnlyMove() {
  Result<std::unique_ptr<std::string>> result = std::make_unique<std::string>("text");
  CHECK_EQUAL((*result)->size(), 4);
  const std::unique_ptr<std::string> taken = std::move(result).value();
  CHECK_EQUAL(*taken, "text");
}

void ValuesAreChangedInPlace() {
  Result<std::string> result = std::string("one");
  result->append(" two");
  *result += " three";
  CHECK_EQUAL(result.value(), "one two three");
  result = Error::System(EIO);
  CHECK_EQUAL(result.error().result(), -EIO);
  result = "again";
  CHECK_EQUAL(*result, "again");
}

void WithoutAValue() {
  const Result<void> good;
  CHECK(good.has_value());
  *good;
  const Result<void> bad = Error::Of(ErrorCode::CLOSED);
  CHECK(!bad);
  CHECK(bad.error().Is(ErrorCode::CLOSED));
}

void NumbersInTheTableAreUnique() {
  std::set<int32_t> numbers;
  std::set<std::string> names;
  for (const ErrorCodeEntry& entry : kErrorCodes) {
    CHECK(static_cast<int32_t>(entry.code) > 0);
    CHECK(numbers.insert(static_cast<int32_t>(entry.code)).second);
    CHECK(names.insert(entry.name).second);
    CHECK(!std::string(entry.text).empty());
  }
}

}  // namespace
}  // namespace paipai

int main(int argument_count, char** arguments) {
  using namespace paipai;
  return test::RunCases(argument_count, arguments,
                        {
                            {"HoldsAValueOrAnError", HoldsAValueOrAnError},
                            {"ErrorsTravelAsOneNumber", ErrorsTravelAsOneNumber},
                            {"ValuesThatOnlyMove", ValuesThatOnlyMove},
                            {"ValuesAreChangedInPlace", ValuesAreChangedInPlace},
                            {"WithoutAValue", WithoutAValue},
                            {"NumbersInTheTableAreUnique", NumbersInTheTableAreUnique},
                        });
}
