// The first process of the machine that scripts/bochs.mjs emulates: shows what CPU it is, runs the command
// lines in /commands (words separated by blanks) and switches off. The padding at the end pushes the last lines
// out of the emulator's buffer for the serial port.
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace {

void show_cpu() {
  FILE* cpu = std::fopen("/proc/cpuinfo", "r");
  if (cpu == nullptr) return;
  static char line[8192];
  while (std::fgets(line, sizeof line, cpu) != nullptr) {
    if (std::strncmp(line, "flags", 5) == 0)
      std::printf("AVX-512: %s\n", std::strstr(line, " avx512f ") != nullptr ? "yes" : "no");
  }
  std::fclose(cpu);
}

void run(char* command) {
  std::puts("BEGIN");
  const pid_t child = fork();
  if (child == 0) {
    char* words[32] = {};
    int count = 0;
    for (char* word = std::strtok(command, " \n"); word != nullptr && count < 31;
         word = std::strtok(nullptr, " \n"))
      words[count++] = word;
    execv(words[0], words);
    _exit(127);
  }
  int status = -1;
  waitpid(child, &status, 0);
  std::printf("END %d\n", status);
}

}  // namespace

int main() {
  setvbuf(stdout, nullptr, _IONBF, 0);
  mkdir("/proc", 0755);
  mkdir("/sys", 0755);
  if (mount("proc", "/proc", "proc", 0, nullptr) != 0) std::puts("no /proc");
  if (mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0) std::puts("no /sys");
  show_cpu();
  if (FILE* commands = std::fopen("/commands", "r")) {
    char line[1024];
    while (std::fgets(line, sizeof line, commands) != nullptr) run(line);
    std::fclose(commands);
  }
  for (int i = 0; i < 128; i++) std::printf("%0127d\n", 0);
  reboot(RB_POWER_OFF);
  for (;;) pause();
}
