// The engine's own configuration, and a record of the bundled modules, for the licences of their packages.

import { writeFileSync } from 'node:fs';
import upstream from './vite.config.ts';

const recordPackages = {
	name: 'llamafile:record-packages',
	apply: 'build',
	generateBundle(options) {
		// The build also renders the pages once as on a server; modules of that part are not in the result.
		if (!options.dir.replaceAll('\\', '/').endsWith('/output/client')) return;
		writeFileSync(process.env.LLAMAFILE_PAGES_MODULES, JSON.stringify([...this.getModuleIds(), ...this.getWatchFiles()]));
	}
};

export default async (environment) => {
	const config = await upstream(environment);
	return { ...config, plugins: [...config.plugins, recordPackages] };
};
