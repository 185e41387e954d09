#include <config.h>

#include "supervisor/configuration.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#define NS_PER_S INT64_C(1000000000)
#define DAY_S INT64_C(86400)
/* A century: what is longer is a slip, and a deadline is still far from overflowing. */
#define TIME_MAX (36500 * DAY_S * NS_PER_S)

/* The digits at *text, which is moved behind them. -EINVAL: there is none, or too many. */
static int take_number(const char **text, uint64_t *out)
{
	const char *p = *text;
	uint64_t value = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -EINVAL;
	*text = p;
	*out = value;
	return 0;
}

static const struct {
	const char *name;
	int64_t ns;
} time_units[] = {
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s",  NS_PER_S },
	{ "m",  60 * NS_PER_S },
	{ "h",  3600 * NS_PER_S },
	{ "d",  DAY_S * NS_PER_S },
};

static int64_t time_unit(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(time_units); i++)
		if (strcmp(name, time_units[i].name) == 0)
			return time_units[i].ns;
	return 0;
}

/* The decimals at *text, as so many billionths; what is finer than that is dropped. */
static int take_decimals(const char **text, int64_t *billionths)
{
	const char *p = *text;
	int64_t scale = NS_PER_S, value = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		scale /= 10;
		value += (*p - '0') * scale;
	}
	*text = p;
	*billionths = value;
	return 0;
}

int config_parse_time(const char *text, int64_t *ns)
{
	int64_t billionths = 0, unit;
	uint64_t whole;

	if (strcmp(text, "0") == 0) {   /* the one number that needs no unit */
		*ns = 0;
		return 0;
	}
	if (take_number(&text, &whole) < 0)
		return -EINVAL;
	if (*text == '.' && (text++, take_decimals(&text, &billionths) < 0))
		return -EINVAL;
	unit = time_unit(text);
	if (!unit || whole > (uint64_t)(TIME_MAX / unit))
		return -EINVAL;
	/* Units above a second would overflow, multiplied as they are. */
	*ns = (int64_t)whole * unit + (unit > NS_PER_S ? billionths * (unit / NS_PER_S)
						       : billionths / (NS_PER_S / unit));
	return *ns > TIME_MAX ? -EINVAL : 0;
}

int config_parse_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMG";
	unsigned shift = 0;
	const char *suffix;
	uint64_t number;

	if (take_number(&text, &number) < 0)
		return -EINVAL;
	if (*text) {
		suffix = strchr(suffixes, *text);
		if (!suffix || text[1])
			return -EINVAL;
		shift = 10 * (unsigned)(suffix - suffixes + 1);
	}
	if (number > (uint64_t)INT64_MAX >> shift)   /* it is an off_t before long */
		return -EINVAL;
	*bytes = number << shift;
	return 0;
}

static const char *const restart_names[] = {
	[RESTART_ALWAYS] = "always", [RESTART_ON_FAILURE] = "on-failure", [RESTART_NEVER] = "never",
};
static const char *const readiness_names[] = {
	[READINESS_NONE] = "none", [READINESS_NOTIFY] = "notify", [READINESS_ATTACH] = "attach",
};
static const char *const gc_names[] = {
	[GC_REPORT] = "report", [GC_COLLECT] = "collect",
};
static const char *const strategy_names[] = {
	[ONE_FOR_ONE] = "one-for-one", [ONE_FOR_ALL] = "one-for-all",
	[REST_FOR_ONE] = "rest-for-one",
};

static int position(const char *text, const char *const names[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(text, names[i]) == 0)
			return (int)i;
	return -EINVAL;
}

int config_parse_restart(const char *text, enum restart_policy *out)
{
	int i = position(text, restart_names, ARRAY_SIZE(restart_names));

	if (i < 0)
		return i;
	*out = (enum restart_policy)i;
	return 0;
}

int config_parse_gc(const char *text, enum gc *out)
{
	int i = position(text, gc_names, ARRAY_SIZE(gc_names));

	if (i < 0)
		return i;
	*out = (enum gc)i;
	return 0;
}

int config_parse_readiness(const char *text, enum readiness *out)
{
	int i = position(text, readiness_names, ARRAY_SIZE(readiness_names));

	if (i < 0)
		return i;
	*out = (enum readiness)i;
	return 0;
}

int config_parse_strategy(const char *text, enum strategy *out)
{
	int i = position(text, strategy_names, ARRAY_SIZE(strategy_names));

	if (i < 0)
		return i;
	*out = (enum strategy)i;
	return 0;
}

const char *config_restart_name(enum restart_policy policy)
{
	return restart_names[policy];
}

const char *config_gc_name(enum gc gc)
{
	return gc_names[gc];
}

const char *config_readiness_name(enum readiness readiness)
{
	return readiness_names[readiness];
}

const char *config_strategy_name(enum strategy strategy)
{
	return strategy_names[strategy];
}

#define SIGNAL(name) [SIG##name] = "SIG" #name
static const char *const signal_names[] = {
	SIGNAL(HUP), SIGNAL(INT), SIGNAL(QUIT), SIGNAL(ILL), SIGNAL(TRAP), SIGNAL(ABRT),
	SIGNAL(BUS), SIGNAL(FPE), SIGNAL(KILL), SIGNAL(USR1), SIGNAL(SEGV), SIGNAL(USR2),
	SIGNAL(PIPE), SIGNAL(ALRM), SIGNAL(TERM), SIGNAL(STKFLT), SIGNAL(CHLD), SIGNAL(CONT),
	SIGNAL(STOP), SIGNAL(TSTP), SIGNAL(TTIN), SIGNAL(TTOU), SIGNAL(URG), SIGNAL(XCPU),
	SIGNAL(XFSZ), SIGNAL(VTALRM), SIGNAL(PROF), SIGNAL(WINCH), SIGNAL(IO), SIGNAL(PWR),
	SIGNAL(SYS),
};

/* From SIGRTMIN, which only the C library knows. */
static const char *const realtime_names[] = {
	"SIGRTMIN",    "SIGRTMIN+1",  "SIGRTMIN+2",  "SIGRTMIN+3",  "SIGRTMIN+4",  "SIGRTMIN+5",
	"SIGRTMIN+6",  "SIGRTMIN+7",  "SIGRTMIN+8",  "SIGRTMIN+9",  "SIGRTMIN+10", "SIGRTMIN+11",
	"SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14", "SIGRTMIN+15", "SIGRTMIN+16", "SIGRTMIN+17",
	"SIGRTMIN+18", "SIGRTMIN+19", "SIGRTMIN+20", "SIGRTMIN+21", "SIGRTMIN+22", "SIGRTMIN+23",
	"SIGRTMIN+24", "SIGRTMIN+25", "SIGRTMIN+26", "SIGRTMIN+27", "SIGRTMIN+28", "SIGRTMIN+29",
	"SIGRTMIN+30",
};

const char *config_signal_name(int signal)
{
	if (signal > 0 && (size_t)signal < ARRAY_SIZE(signal_names))
		return signal_names[signal];
	if (signal >= SIGRTMIN && signal <= SIGRTMAX &&
	    (size_t)(signal - SIGRTMIN) < ARRAY_SIZE(realtime_names))
		return realtime_names[signal - SIGRTMIN];
	return NULL;
}

int config_parse_signal(const char *text, int *signal)
{
	const char *bare = strncmp(text, "SIG", 3) == 0 ? text + 3 : text, *p = text;
	uint64_t number;

	if (take_number(&p, &number) == 0) {
		if (*p || number > (uint64_t)SIGRTMAX || !config_signal_name((int)number))
			return -EINVAL;
		*signal = (int)number;
		return 0;
	}
	for (int i = 1; i <= SIGRTMAX; i++) {
		const char *name = config_signal_name(i);

		if (name && strcmp(bare, name + 3) == 0) {
			*signal = i;
			return 0;
		}
	}
	return -EINVAL;
}

int config_parse_listen(const char *text)
{
	const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : "";
	char address[INET6_ADDRSTRLEN + 2];
	unsigned char parsed[16];
	size_t length;
	uint64_t number;

	if (!colon || *port == '0' || take_number(&port, &number) < 0 || *port || number > 65535)
		return -EINVAL;
	length = (size_t)(colon - text);
	if (length >= sizeof address)
		return -EINVAL;
	memcpy(address, text, length);
	address[length] = '\0';
	if (inet_pton(AF_INET, address, parsed) == 1)
		return 0;
	if (length < 2 || address[0] != '[' || address[length - 1] != ']')
		return -EINVAL;
	address[length - 1] = '\0';
	return inet_pton(AF_INET6, address + 1, parsed) == 1 ? 0 : -EINVAL;
}

bool config_name_is_good(const char *name)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" "abcdefghijklmnopqrstuvwxyz"
				    "_0123456789";
	size_t length = strlen(name);

	if (length < 1 || length > 63 || !strchr(first, name[0]))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!strchr(first, name[i]) && name[i] != '.' && name[i] != '-')
			return false;
	return true;
}
