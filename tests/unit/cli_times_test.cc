// Times as people write them.
#include <gtest/gtest.h>
#include <cstdlib>
#include <ctime>
#include "client/cli/times.h"

namespace skua::cli {
namespace {

TEST(Times, AreSecondsOrDaysWithOrWithoutATimeOfDay) {
    EXPECT_EQ(parseTime("@0")->value, 0u);
    EXPECT_EQ(parseTime("@1700000000")->value, 1'700'000'000 * kSecond);
    EXPECT_EQ(parseTime("@1700000000.25")->value, 1'700'000'000 * kSecond + 250 * kMillisecond);
    EXPECT_EQ(parseTime("@1.0123456789")->value, kSecond + 12'345'678);
    EXPECT_EQ(parseTime("2023-11-14T22:13:20Z")->value, 1'700'000'000 * kSecond);
    EXPECT_EQ(parseTime("2023-11-14 22:13:20.5Z")->value, 1'700'000'000 * kSecond + 500 * kMillisecond);
    EXPECT_EQ(parseTime("2023-11-14T22:13Z")->value, (1'700'000'000 - 20) * kSecond);
    EXPECT_EQ(parseTime("1970-01-02Z")->value, kDay);
    EXPECT_EQ(parseTime("2024-02-29Z")->value, 1'709'164'800 * kSecond);
}

TEST(Times, AreLocalWithoutAZ) {
    std::tm tm{};
    tm.tm_year = 126;
    tm.tm_mon = 10;
    tm.tm_mday = 22;
    tm.tm_hour = 13;
    tm.tm_min = 5;
    tm.tm_isdst = -1;
    EXPECT_EQ(parseTime("2026-11-22 13:05")->value, static_cast<u64>(mktime(&tm)) * kSecond);
}

TEST(Times, ThatAreNoneAreRefused) {
    for (const char* wrong : {"",
                              "@",
                              "@-1",
                              "@x",
                              "@1.",
                              "@1.x",
                              "@99999999999",
                              "@9999999999",
                              "now",
                              "2026",
                              "2026-11",
                              "2026-13-01Z",
                              "2026-02-30Z",
                              "2023-02-29Z",
                              "2026-11-22T",
                              "2026-11-22T25:00Z",
                              "2026-11-22T24:00Z",
                              "2026-11-22T13:60Z",
                              "2026-11-22T13:05:61Z",
                              "2026-11-22T13:05:07.Z",
                              "2026-11-22x",
                              "1969-12-31Z",
                              "2026-11-22ZZ",
                              "2026-11-22T13:05 ",
                              "9999-01-01Z"})
        EXPECT_FALSE(parseTime(wrong)) << wrong;
}

} // namespace
} // namespace skua::cli
