// Man pages, from the declarations of flags: those of `skua` by `skua internal man`, a daemon's by its own hidden
// --man-page (make install calls both).
#pragma once

#include <string>
#include <vector>
#include "core/base/flags.h"

namespace skua {

struct ManPage {
    std::string title;   // "skua-cp"
    std::string command; // "skua cp"
    std::string help;    // one sentence, without a full stop
    int section = 1;
    std::vector<FlagInfo> flags;
    std::vector<ManPage> commands; // told on the same page
    std::string notes, example;    // notes: lines as they are shown by --help
    bool may_be_interrupted = true;
};

std::string roff(const std::string& text);  // its special characters escaped
std::string manHeader(const ManPage& page); // .TH and NAME
std::string manText(const ManPage& page);   // the whole page

} // namespace skua
