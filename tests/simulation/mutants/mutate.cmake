# Writes MUTATED: SOURCE with PATCH applied. Exactly, because a hunk that is put where it no longer fits
# would leave out something else than it says.
execute_process(
  COMMAND ${PATCH_PROGRAM} --batch --forward --fuzz=0 --reject-file=- --output=${MUTATED} ${SOURCE} ${PATCH}
  RESULT_VARIABLE failed OUTPUT_VARIABLE told ERROR_VARIABLE told)
if(failed)
  file(REMOVE ${MUTATED})
  string(REGEX MATCHALL "Hunk #[^\n]*FAILED[^\n]*|patch: [^\n]*" hunks "${told}")
  list(JOIN hunks "\n" hunks)
  message(FATAL_ERROR "${PATCH}\nno longer applies to\n${SOURCE}\n${hunks}\n"
    "The machine changed at one of the guards that the patch can leave out. Bring the patch up to date as "
    "tests/simulation/mutants/README.md tells (\"When a machine changes\"); a guard that is new gets a name in "
    "rules.hpp, one that is gone loses it.")
endif()
