# Included after project() (CMAKE_PROJECT_INCLUDE) if the ROS 2 generators come from wheels.

# rosidl finds its plug-ins through AMENT_PREFIX_PATH, which the wheels do not set.
find_package(ament_cmake_core REQUIRED)
cmake_path(SET _prefix NORMALIZE "${ament_cmake_core_DIR}/../../..")
if(NOT "$ENV{AMENT_PREFIX_PATH}" MATCHES "${_prefix}")
  set(ENV{AMENT_PREFIX_PATH} "${_prefix}:$ENV{AMENT_PREFIX_PATH}")
endif()
unset(_prefix)

# The targets of the wheels export include directories of the image the wheels were built in.
function(_drop_include_directories_of_build_image)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(directories)
      list(FILTER directories EXCLUDE REGEX "^/opt/python/")
      set_property(TARGET ${target} PROPERTY INTERFACE_INCLUDE_DIRECTORIES "${directories}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL _drop_include_directories_of_build_image)
