/** aedes as its documentation starts it, with all of its defaults. `node test/bench/aedes-broker.ts PORT` */
import net from 'node:net';
import { Aedes } from 'aedes';

const broker = await Aedes.createBroker();
net.createServer({ noDelay: true }, broker.handle).listen(Number(process.argv[2]), '127.0.0.1');
