// Argument structs of all kernels, one header per family.
#pragma once
