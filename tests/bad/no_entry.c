/* SPDX-License-Identifier: Apache-2.0 */
/* no_entry - a shared object, but no plugin: its entry function is not exported under the right name. */
int peri_plugin_list(void);

int peri_plugin_list(void)
{
    return 0;
}
