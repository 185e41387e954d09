/* See spawn_child.h. Built without sanitizers and stack protector; nothing of libc is called. */
#include <config.h>

#include "supervisor/spawn_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIGSET_BYTES = 8 };

#if defined __x86_64__
static inline long call6(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return r;
}

long child_clone(struct clone_args *args, size_t size, void *plan)
{
	register void *child_plan __asm__("r12") = plan;
	register void (*child)(void *) __asm__("r13") = child_main;
	long r;

	/* The child wakes up on the new stack, where nothing of this function is: straight on. */
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %[plan], %%rdi\n\t"
			 "call *%[child]\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(r)
			 : "a"(SYS_clone3), "D"(args), "S"(size), [plan] "r"(child_plan),
			   [child] "r"(child)
			 : "rcx", "r11", "memory", "cc");
	return r;
}
#elif defined __aarch64__
static inline long call6(long number, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory", "cc");
	return x0;
}

long child_clone(struct clone_args *args, size_t size, void *plan)
{
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)args;
	register long x1 __asm__("x1") = (long)size;
	register void *x9 __asm__("x9") = plan;
	register void (*x10)(void *) __asm__("x10") = child_main;

	/* The child wakes up on the new stack, where nothing of this function is: straight on. */
	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, #0\n\t"
			 "mov x0, x9\n\t"
			 "blr x10\n\t"
			 "brk #0\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x9), "r"(x10)
			 : "memory", "cc");
	return x0;
}
#else
/* Here the child is a fork with memory of its own, so that libc may do it. */
static inline long call6(long number, long a, long b, long c, long d, long e)
{
	long r = syscall(number, a, b, c, d, e);

	return r < 0 ? -errno : r;
}

long child_clone(struct clone_args *args, size_t size, void *plan)
{
	(void)args;
	(void)size;
	(void)plan;
	return -ENOSYS;
}
#endif

#define CALL(name, a, b, c, d, e) \
	call6(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

static _Noreturn void leave(const struct child_plan *plan, enum child_step step, long r)
{
	struct child_report report = { .step = step, .error = (int32_t)-r };

	/* Nobody to tell it to (SIGPIPE is blocked): the supervisor is gone, and so are we. */
	CALL(write, plan->report, &report, sizeof report, 0, 0);
	for (;;)
		CALL(exit_group, 127, 0, 0, 0, 0);
}

static inline void check(const struct child_plan *plan, enum child_step step, long r)
{
	if (r < 0)
		leave(plan, step, r);
}

/* Before anything else, so that no process runs that a recovering supervisor does not know of. */
static void claim(const struct child_plan *plan)
{
	uint64_t expected = plan->open;
	uint64_t mine;

	if (!plan->word)
		return;
	mine = plan->claimed | (uint64_t)CALL(getpid, 0, 0, 0, 0, 0);
	/* Partner: the supervisor that cancels, by the same exchange. The word carries all there is;
	 * acq_rel keeps what follows after it and costs nothing here. */
	if (!atomic_compare_exchange_strong_explicit(plan->word, &expected, mine,
						     memory_order_acq_rel, memory_order_relaxed))
		leave(plan, STEP_CLAIM, -ECANCELED);
}

/* The supervisor is gone, and we go on: but SIGPIPE is pending, blocked signals being kept even if they
 * are ignored. To ignore it now takes it back; default_signals() then makes it the default. */
static void forget_sigpipe(struct child_plan *plan)
{
	static const uint64_t ignored[4] = { 1 };   /* the kernel's own struct: SIG_IGN */

	CALL(rt_sigaction, SIGPIPE, ignored, 0, SIGSET_BYTES, 0);
	plan->not_default |= 1ull << (SIGPIPE - 1);
}

static void leave_table(struct child_plan *plan)
{
	/* Relaxed: written before clone. */
	if (atomic_load_explicit(&plan->table, memory_order_relaxed) == TABLE_COPIED)
		return;
	check(plan, STEP_FDS,
	      CALL(close_range, plan->highest + 1, ~0u, CLOSE_RANGE_UNSHARE, 0, 0));
	/* Release, with the acquire in slot_is_ours(): they may close what we shared. */
	if (atomic_exchange_explicit(&plan->table, TABLE_OWN, memory_order_acq_rel) == TABLE_AWAITED &&
	    CALL(write, plan->report, "", 1, 0, 0) == -EPIPE)
		forget_sigpipe(plan);
}

/* All are blocked until the exec, so no handler of ours runs here; those that are ignored exec itself
 * would leave so. KILL, STOP and libc's own refuse or do not mind. */
static void default_signals(const struct child_plan *plan)
{
	/* The kernel's own struct sigaction, all 0: SIG_DFL, no flags, nothing masked. */
	static const uint64_t by_default[4];
	uint64_t left = plan->not_default;
	int signal;

	for (signal = 1; left; signal++, left >>= 1)
		if (left & 1)
			CALL(rt_sigaction, signal, by_default, 0, SIGSET_BYTES, 0);
}

static void begin_session(const struct child_plan *plan)
{
	int group;

	if (!plan->terminal) {
		check(plan, STEP_SESSION, CALL(setsid, 0, 0, 0, 0, 0));
		return;
	}
	check(plan, STEP_SESSION, CALL(setpgid, 0, 0, 0, 0, 0));
	if (!plan->foreground)
		return;
	group = (int)CALL(getpid, 0, 0, 0, 0, 0);
	/* A terminal that is gone, or none, is no reason not to run. SIGTTOU is blocked. */
	CALL(ioctl, plan->fds[0], TIOCSPGRP, &group, 0, 0);
}

/* The slow way: it moves a process that exists, and may wait for a grace period of RCU. */
static void join_cgroup(const struct child_plan *plan)
{
	long fd;

	if (plan->cgroup < 0)
		return;
	fd = CALL(openat, plan->cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC, 0, 0);
	check(plan, STEP_CGROUP, fd);
	check(plan, STEP_CGROUP, CALL(write, fd, "0", 1, 0, 0));
	CALL(close, fd, 0, 0, 0, 0);
}

static long above_stdio(long fd)
{
	return CALL(fcntl, fd, F_DUPFD_CLOEXEC, 3, 0, 0);
}

/* 0, 1, 2 and nothing else. Closed, not marked CLOEXEC: a child that hangs in chdir or exec must not
 * keep a session or a lock of ours open. */
static void arrange_fds(struct child_plan *plan)
{
	int i;

	if (plan->report < 3) {   /* only if we were started without a stdio of ours */
		long high = above_stdio(plan->report);

		check(plan, STEP_FDS, high);
		plan->report = (int)high;
	}
	for (i = 0; i < 3; i++) {   /* sources that another's place would overwrite */
		if (plan->fds[i] < 3 && plan->fds[i] != i) {
			plan->fds[i] = (int)above_stdio(plan->fds[i]);
			check(plan, STEP_FDS, plan->fds[i]);
		}
	}
	for (i = 0; i < 3; i++) {
		if (plan->fds[i] == i)   /* EBADF: it is not open with us either */
			CALL(fcntl, i, F_SETFD, 0, 0, 0);
		else
			check(plan, STEP_FDS, CALL(dup3, plan->fds[i], i, 0, 0, 0));
	}
	if (plan->report > 3)
		check(plan, STEP_FDS, CALL(close_range, 3, plan->report - 1, 0, 0, 0));
	check(plan, STEP_FDS, CALL(close_range, plan->report + 1, ~0u, 0, 0, 0));
}

static void limit(const struct child_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->limit_count; i++)
		check(plan, STEP_LIMITS, CALL(prlimit64, 0, plan->limits[i].resource,
					      &plan->limits[i].value, 0, 0));
}

/* With the first change of ids the kernel makes the memory that we share not dumpable, so that a
 * process of that user cannot trace this child and write into the supervisor through it. Nothing may
 * set it back: it stays so for the supervisor's life (the program gets its own with exec). */
static void become(const struct child_plan *plan)
{
	gid_t gid = plan->gid;
	uid_t uid = plan->uid;

	if (plan->set_groups)
		check(plan, STEP_GROUPS,
		      CALL(setgroups, plan->group_count, plan->groups, 0, 0, 0));
	if (gid != (gid_t)-1)
		check(plan, STEP_GROUPS, CALL(setresgid, gid, gid, gid, 0, 0));
	if (uid != (uid_t)-1)
		check(plan, STEP_USER, CALL(setresuid, uid, uid, uid, 0, 0));
	if (plan->no_new_privileges)
		check(plan, STEP_PRIVILEGES, CALL(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* As execvp(3) goes on or gives up, but for a file without a known format: no shell. */
static _Noreturn void execute(const struct child_plan *plan)
{
	static const uint64_t none;
	char *const *file;
	long r, last = -ENOENT;

	/* What was sent meanwhile comes now, and by default: that is the program's own matter. */
	CALL(rt_sigprocmask, SIG_SETMASK, &none, 0, SIGSET_BYTES, 0);
	for (file = plan->files; *file; file++) {
		r = CALL(execve, *file, plan->argv, plan->envp, 0, 0);
		if (r == -EACCES)
			last = r;
		else if (r != -ENOENT && r != -ENOTDIR && r != -ESTALE && r != -ENODEV &&
			 r != -ETIMEDOUT)
			leave(plan, STEP_EXEC, r);
	}
	leave(plan, STEP_EXEC, last);
}

void child_main(void *argument)
{
	struct child_plan *plan = argument;
	int i;

	claim(plan);
	leave_table(plan);
	for (i = 0; i < 4; i++)
		if (plan->close_first[i] >= 0)
			CALL(close, plan->close_first[i], 0, 0, 0, 0);
	default_signals(plan);
	begin_session(plan);
	join_cgroup(plan);
	arrange_fds(plan);
	CALL(umask, plan->umask, 0, 0, 0, 0);
	limit(plan);
	become(plan);
	if (plan->directory)
		check(plan, STEP_DIRECTORY, CALL(chdir, plan->directory, 0, 0, 0, 0));
	execute(plan);
}
