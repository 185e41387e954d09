#include <config.h>

#include "apilib/fence.h"

const char *ep_state_name(enum ep_state state)
{
	static const char *const names[EP_STATES] = {
		[EP_DOWN] = "down",
		[EP_STARTING] = "starting",
		[EP_UP] = "up",
		[EP_STOPPING] = "stopping",
		[EP_FATAL] = "fatal",
	};

	return (unsigned)state < EP_STATES ? names[state] : "?";
}

const char *ep_cause_name(enum ep_cause cause)
{
	static const char *const names[EP_CAUSES] = {
		[EP_NO_CAUSE] = "none",
		[EP_CRASHED] = "crashed",
		[EP_EXITED] = "exited",
		[EP_WATCHDOG] = "watchdog",
		[EP_HEALTH] = "health",
		[EP_START_FAILED] = "start_failed",
		[EP_START_TIMEOUT] = "start_timeout",
		[EP_ASKED] = "asked",
		[EP_RECONFIGURED] = "reconfigured",
		[EP_GROUP] = "group",
		[EP_BOOT] = "boot",
		[EP_UNSEEN] = "unseen",
	};

	return (unsigned)cause < EP_CAUSES ? names[cause] : "?";
}
