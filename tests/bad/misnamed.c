/* SPDX-License-Identifier: Apache-2.0 */
/* misnamed - a name that no plan could hold. */
#include "bad.h"

BAD_CHANGED("misnamed", p->name = "Mis > named";)
