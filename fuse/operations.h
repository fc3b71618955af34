// Operations: what libfuse calls, one file each in requests/. Each takes the request over and starts its
// coroutine; nothing waits here.
#pragma once

#include "fuse/session.h"

namespace skua::fuse {

// The table for Session::make; `user` must be a Mount.
const fuse_lowlevel_ops& operations();

void onLookup(fuse_req_t, fuse_ino_t parent, const char* name);
void onForget(fuse_req_t, fuse_ino_t, uint64_t lookups);
void onForgetMany(fuse_req_t, size_t count, fuse_forget_data*);
void onGetattr(fuse_req_t, fuse_ino_t, fuse_file_info*);
void onSetattr(fuse_req_t, fuse_ino_t, struct stat*, int which, fuse_file_info*);
void onReadlink(fuse_req_t, fuse_ino_t);
void onMknod(fuse_req_t, fuse_ino_t parent, const char* name, mode_t, dev_t);
void onMkdir(fuse_req_t, fuse_ino_t parent, const char* name, mode_t);
void onUnlink(fuse_req_t, fuse_ino_t parent, const char* name);
void onRmdir(fuse_req_t, fuse_ino_t parent, const char* name);
void onSymlink(fuse_req_t, const char* target, fuse_ino_t parent, const char* name);
void onRename(fuse_req_t, fuse_ino_t parent, const char* name, fuse_ino_t to_parent, const char* to_name, unsigned flags);
void onLink(fuse_req_t, fuse_ino_t, fuse_ino_t parent, const char* name);
void onCreate(fuse_req_t, fuse_ino_t parent, const char* name, mode_t, fuse_file_info*);
void onOpen(fuse_req_t, fuse_ino_t, fuse_file_info*);
void onRead(fuse_req_t, fuse_ino_t, size_t size, off_t offset, fuse_file_info*);
void onWrite(fuse_req_t, fuse_ino_t, const char* bytes, size_t size, off_t offset, fuse_file_info*);
void onFlush(fuse_req_t, fuse_ino_t, fuse_file_info*);
void onRelease(fuse_req_t, fuse_ino_t, fuse_file_info*);
void onFsync(fuse_req_t, fuse_ino_t, int data_only, fuse_file_info*);
void onFallocate(fuse_req_t, fuse_ino_t, int mode, off_t offset, off_t length, fuse_file_info*);
void onLseek(fuse_req_t, fuse_ino_t, off_t offset, int whence, fuse_file_info*);
void onOpendir(fuse_req_t, fuse_ino_t, fuse_file_info*);
void onReaddir(fuse_req_t, fuse_ino_t, size_t size, off_t offset, fuse_file_info*);
void onReaddirplus(fuse_req_t, fuse_ino_t, size_t size, off_t offset, fuse_file_info*);
void onReleasedir(fuse_req_t, fuse_ino_t, fuse_file_info*);
void onFsyncdir(fuse_req_t, fuse_ino_t, int data_only, fuse_file_info*);
void onStatfs(fuse_req_t, fuse_ino_t);
void onGetxattr(fuse_req_t, fuse_ino_t, const char* name, size_t size);
void onSetxattr(fuse_req_t, fuse_ino_t, const char* name, const char* value, size_t size, int flags);
void onListxattr(fuse_req_t, fuse_ino_t, size_t size);
void onRemovexattr(fuse_req_t, fuse_ino_t, const char* name);

} // namespace skua::fuse
