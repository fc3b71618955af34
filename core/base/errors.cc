#include "core/base/errors.h"

#include <cerrno>

namespace skua {

std::string_view name(Code code) {
    switch (code) {
        case Code::Ok: return "Ok";
#define X(number, name, errnum, text) \
    case Code::name: return #name;
            SKUA_ERRORS(X)
#undef X
    }
    return "Unknown";
}

std::string_view text(Code code) {
    switch (code) {
        case Code::Ok: return "ok";
#define X(number, name, errnum, text) \
    case Code::name: return text;
            SKUA_ERRORS(X)
#undef X
    }
    return "unknown error";
}

int toErrno(Code code) {
    switch (code) {
        case Code::Ok: return 0;
#define X(number, name, errnum, text) \
    case Code::name: return errnum;
            SKUA_ERRORS(X)
#undef X
    }
    return EIO;
}

Code fromErrno(int errnum) {
    if (errnum == 0) return Code::Ok;
    if (errnum == EAGAIN) return Code::Busy;
    if (errnum == EIO) return Code::Io;
#define X(number, name, value, text) \
    if (errnum == value) return Code::name;
    SKUA_ERRORS(X)
#undef X
    return Code::Io;
}

std::string Error::message() const {
    std::string all(text(code));
    if (!detail.empty()) all += ": " + detail;
    return all;
}

} // namespace skua
