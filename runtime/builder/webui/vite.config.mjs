// The engine's own configuration, and a record of whose code the pages hold, so that its licences can go with them.

import { writeFileSync } from 'node:fs';
import upstream from './vite.config.ts';

const recordPackages = {
	name: 'llamafile:record-packages',
	apply: 'build',
	generateBundle(options) {
		// The pages are also rendered on a server once while they are built; what only that needs is not in them.
		if (!options.dir.replaceAll('\\', '/').endsWith('/output/client')) return;
		writeFileSync(process.env.LLAMAFILE_PAGES_MODULES, JSON.stringify([...this.getModuleIds(), ...this.getWatchFiles()]));
	}
};

export default async (environment) => {
	const config = await upstream(environment);
	return { ...config, plugins: [...config.plugins, recordPackages] };
};
