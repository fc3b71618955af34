// Ctrl-C: what is unfinished is removed, and the program ends 130 (SIGTERM: 143). Remote files need nothing:
// an interrupted copy has no name yet.
#pragma once

#include <string>

namespace skua::cli {

void handleInterrupts();

// A local file that goes away if we are interrupted. Any number; those past 64 at once are not remembered.
class Temporary {
public:
    explicit Temporary(std::string path);
    ~Temporary(); // removes it, unless kept
    Temporary(const Temporary&) = delete;
    const std::string& path() const { return path_; }
    void keep(); // it has its final name

private:
    std::string path_;
    int slot_ = -1;
    bool kept_ = false;
};

} // namespace skua::cli
