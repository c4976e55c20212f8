// Which way an image is computed, by times that are given.
#include "plan/team_trial.h"

#include "check.h"

namespace kernelet {
namespace test {
namespace {

// The calls of a trial with these times: how many were timed, and by how many of those a team went.
struct Calls {
  int timed = 0, team = 0;
};

Calls tried(TeamTrial& trial, double team_ns, double alone_ns) {
  Calls calls;
  for (TeamTrial::Way way = trial.next(); way.timed; way = trial.next()) {
    ++calls.timed;
    calls.team += way.team ? 1 : 0;
    // the first of a turn wakes the others
    trial.took(way.team, (way.team ? team_ns : alone_ns) + (calls.timed % 3 == 1 ? 1000 : 0));
  }
  return calls;
}

ONCE(team_trial) {
  struct Case {
    double team, alone;
    int timed;
    bool by_team;
  };
  for (const Case& one :
       {Case{100, 200, 6, true}, {200, 100, 6, false}, {100, 110, 12, true}, {110, 100, 12, false}}) {
    TeamTrial trial;
    const Calls calls = tried(trial, one.team, one.alone);
    check(calls.timed == one.timed && calls.team == one.timed / 2,
          "%g against %g: %d calls timed, %d of a team", one.team, one.alone, calls.timed, calls.team);
    for (int call = one.timed + 1; call < 16; ++call) {  // until it is looked at again
      const TeamTrial::Way way = trial.next();
      check(!way.timed && way.team == one.by_team, "%g against %g: call %d", one.team, one.alone, call);
    }
  }
}

// What was found is looked at again, more and more rarely: the machine may be another by then.
ONCE(team_trial_again) {
  TeamTrial trial;
  tried(trial, 100, 200);
  int calls = 7;  // of the trial, and the one behind it
  for (int period : {16, 32, 64, 128, 256, 512, 512}) {
    while (!trial.next().timed) ++calls;
    check(calls == period, "tried again after %d calls, not %d", calls, period);
    // that call's time is not told: a run may also end in an error
    calls = 2 + tried(trial, 100, 200).timed;
  }
  while (!trial.next().timed) ++calls;
  tried(trial, 200, 100);
  check(!trial.next().team, "one thread is faster now");
  for (calls = 8; !trial.next().timed;) ++calls;
  check(calls == 512, "the other way was found after %d calls", calls);
  for (calls = 2 + tried(trial, 200, 100).timed; !trial.next().timed;) ++calls;
  check(calls == 16, "tried again after %d calls, as it was the other way", calls);
}

}  // namespace
}  // namespace test
}  // namespace kernelet
