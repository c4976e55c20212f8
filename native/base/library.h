#pragma once

namespace kernelet {

// Keeps the library that this code lies in until the process ends, for threads that may still wait in it when the last
// worker that loaded it ends. On Linux the linker was told so (-z nodelete).
void stay_loaded();

}  // namespace kernelet
