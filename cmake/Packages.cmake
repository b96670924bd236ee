# Debian's packages, by `make deb`: nvcv-cached (programs, units, manual, completion), libnvcv-cached0, and
# libnvcv-cached-dev. Nothing in them is compiled again.
if(NOT (NVCV_CACHED_SERVER AND NVCV_CACHED_CLIENT AND CMAKE_LIBRARY_ARCHITECTURE))
  return()
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME nvcv-cached)
set(CPACK_PACKAGE_VENDOR nvcv-cached)
set(CPACK_PACKAGE_CONTACT "nvcv-cached maintainers <nvcv-cached@users.noreply.github.com>")
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE https://github.com/nvcv-cached/nvcv-cached)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_COMPONENTS_ALL daemon debian_library debian_development)

set(CPACK_DEBIAN_DAEMON_PACKAGE_NAME nvcv-cached)
set(CPACK_DEBIAN_DAEMON_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_DAEMON_PACKAGE_SHLIBDEPS ON)
# A machine with systemd has it; one without (an image) gets the small one.
set(CPACK_DEBIAN_DAEMON_PACKAGE_DEPENDS "systemd-standalone-sysusers | systemd | systemd-sysusers")
set(CPACK_DEBIAN_DAEMON_DESCRIPTION "one memory cache for all processes of a device
The daemon nvcv-cached owns the memory of a GPU, or of the host, and lends
it to C++ and Python processes; nvcv-cachectl looks at daemons and changes
their settings. Its systemd units are not enabled.")
set(CPACK_DEBIAN_DAEMON_PACKAGE_CONTROL_EXTRA
  ${PROJECT_SOURCE_DIR}/deploy/debian/nvcv-cached/postinst
  ${PROJECT_SOURCE_DIR}/deploy/debian/nvcv-cached/prerm
  ${PROJECT_SOURCE_DIR}/deploy/debian/nvcv-cached/postrm)
set(CPACK_DEBIAN_DAEMON_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_DEBIAN_LIBRARY_PACKAGE_NAME libnvcv-cached0)
set(CPACK_DEBIAN_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEBIAN_LIBRARY_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA
  ${PROJECT_SOURCE_DIR}/deploy/debian/libnvcv-cached0/postinst
  ${PROJECT_SOURCE_DIR}/deploy/debian/libnvcv-cached0/postrm
  ${PROJECT_SOURCE_DIR}/deploy/debian/libnvcv-cached0/triggers)
set(CPACK_DEBIAN_DEBIAN_LIBRARY_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_DEBIAN_LIBRARY_PACKAGE_RECOMMENDS "nvcv-cached (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEBIAN_LIBRARY_DESCRIPTION "one memory cache for all processes of a device: library
Tensors and images on memory borrowed from the daemon nvcv-cached.")

set(CPACK_DEBIAN_DEBIAN_DEVELOPMENT_PACKAGE_NAME libnvcv-cached-dev)
set(CPACK_DEBIAN_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libnvcv-cached0 (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_DEBIAN_DEVELOPMENT_DESCRIPTION "one memory cache for all processes of a device: headers
Headers, CMake files and pkg-config file of libnvcv-cached0.")

# What Debian wants of each package: whose it is, its changelog, and why lintian is not obeyed.
set(debian ${PROJECT_SOURCE_DIR}/deploy/debian)
set(changelog ${CMAKE_CURRENT_BINARY_DIR}/debian/changelog.gz)
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/debian)
execute_process(COMMAND gzip -9nc ${debian}/changelog OUTPUT_FILE ${changelog} COMMAND_ERROR_IS_FATAL ANY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${debian}/changelog)

# nvcv_cached_debian_files(<package> <arguments of install that choose the component>)
function(nvcv_cached_debian_files package)
  install(FILES ${debian}/copyright ${changelog} DESTINATION share/doc/${package} ${ARGN})
  if(EXISTS ${debian}/${package}/overrides)
    install(FILES ${debian}/${package}/overrides DESTINATION share/lintian/overrides RENAME ${package} ${ARGN})
  endif()
endfunction()
nvcv_cached_debian_files(nvcv-cached COMPONENT daemon)
nvcv_cached_debian_files(libnvcv-cached0 COMPONENT debian_library EXCLUDE_FROM_ALL)
nvcv_cached_debian_files(libnvcv-cached-dev COMPONENT debian_development EXCLUDE_FROM_ALL)
include(CPack)
