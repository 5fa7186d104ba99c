package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// openItself opens a link itself instead of its target. The mode of the open file shows that
// it is a link.
const openItself = windows.O_FILE_FLAG_OPEN_REPARSE_POINT

// makeHome creates the folder of a home, for its user alone, if there is none. Files and
// folders in it inherit its access list.
func makeHome(dir string) error {
	_, err := os.Lstat(dir)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(dir, folderMode); err != nil || !fresh || withoutModes(dir) {
		return err
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return err
	}
	// Full access (FA) for us, the system (SY) and the administrators (BA), regardless of the
	// access list of the folder above.
	list := fmt.Sprintf("D:P(A;OICI;FA;;;%s)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", user.User.Sid)
	sd, err := windows.SecurityDescriptorFromString(list)
	if err != nil {
		return err
	}
	access, _, err := sd.DACL()
	if err != nil {
		return err
	}
	err = windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, access, nil)
	if err != nil {
		return &fs.PathError{Op: "protect", Path: dir, Err: err}
	}
	return nil
}

// ownerError returns an error if a file or folder belongs to a user other than us and the
// system's own accounts: an owner can give itself any right.
func ownerError(path string, _ fs.FileInfo) *UnsafeError {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return unreadableRights(path, err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return unreadableRights(path, err)
	}
	if owner == nil || isOurs(owner) {
		return nil // a file system without owners has no access lists either; see withoutModes
	}
	return &UnsafeError{
		Path:   path,
		Reason: fmt.Sprintf("belongs to %s, not to us", accountOf(owner)),
		Fix:    fmt.Sprintf("takeown /F %s", quoted(path)),
	}
}

// modeError returns an error if the access list of a file or folder gives a right to anyone
// but us and the system's own accounts. The mode that Go reports on Windows says nothing
// about this.
func modeError(path string, _ fs.FileInfo, mode fs.FileMode) *UnsafeError {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return unreadableRights(path, err)
	}
	list, _, err := sd.DACL()
	if err != nil || list == nil { // without a list everyone has all rights
		return openTo(path, mode, "everybody")
	}
	for i := range uint32(list.AceCount) {
		var entry *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, i, &entry); err != nil {
			return unreadableRights(path, err)
		}
		switch {
		case entry.Header.AceType == windows.ACCESS_DENIED_ACE_TYPE:
			continue
		case entry.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE:
			return openTo(path, mode, "somebody, by an entry of a kind that otrpipe does not know")
		case entry.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0 || entry.Mask == 0:
			continue // it applies only to new files in the folder, which are checked themselves
		}
		if user := (*windows.SID)(unsafe.Pointer(&entry.SidStart)); !isOurs(user) {
			return openTo(path, mode, accountOf(user))
		}
	}
	return nil
}

func unreadableRights(path string, err error) *UnsafeError {
	return &UnsafeError{Path: path, Reason: fmt.Sprintf("has an access list that cannot be read: %v", err), Fix: "name another folder with --home"}
}

func openTo(path string, mode fs.FileMode, who string) *UnsafeError {
	inherited := ""
	if mode == folderMode {
		inherited = "(OI)(CI)"
	}
	return &UnsafeError{
		Path:   path,
		Reason: "has an access list that lets in " + who,
		Fix:    fmt.Sprintf(`icacls %s /inheritance:r /grant:r "%%USERNAME%%:%sF"`, quoted(path), inherited),
	}
}

// isOurs reports whether an account is this process's user, or one that has all rights on the
// machine anyway. "Creator owner" and "owner rights" mean the file's owner, which is checked
// separately.
func isOurs(account *windows.SID) bool {
	for _, known := range []windows.WELL_KNOWN_SID_TYPE{
		windows.WinLocalSystemSid, windows.WinBuiltinAdministratorsSid,
		windows.WinCreatorOwnerSid, windows.WinCreatorOwnerRightsSid,
	} {
		if account.IsWellKnown(known) {
			return true
		}
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	return err == nil && account.Equals(user.User.Sid)
}

func accountOf(account *windows.SID) string {
	name, domain, _, err := account.LookupAccount("")
	switch {
	case err != nil:
		return account.String()
	case domain == "":
		return name
	}
	return domain + `\` + name
}

// withoutModes reports whether folder is on a file system without access lists, such as FAT.
// If it cannot find out it returns false, so that the file is still refused.
func withoutModes(folder string) bool {
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return false
	}
	path, err := windows.UTF16PtrFromString(absolute)
	if err != nil {
		return false
	}
	root := make([]uint16, windows.MAX_LONG_PATH)
	if err := windows.GetVolumePathName(path, &root[0], uint32(len(root))); err != nil {
		return false
	}
	var flags uint32
	err = windows.GetVolumeInformation(&root[0], nil, 0, nil, nil, &flags, nil, 0)
	return err == nil && flags&windows.FILE_PERSISTENT_ACLS == 0
}

// quoted returns a path as one word of a command line. No path contains a quotation mark.
func quoted(path string) string { return `"` + path + `"` }
