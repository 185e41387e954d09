#include <config.h>

#include "supervisor/problem.h"

#include <microhttpd.h>

#include "supervisor/report.h"

json_t *problem_json(unsigned status, const char *detail, const char *path)
{
	return json_pack("{s:s, s:s, s:i, s:o, s:o}",
			 "type", "about:blank",
			 "title", MHD_get_reason_phrase_for(status),
			 "status", (int)status,
			 "detail", report_text(detail),
			 "instance", report_text(path));
}
